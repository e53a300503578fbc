//! Tags and context: what people note about an asset, beside its content.
//!
//! They have one text form each, on the wire, in extended attributes and in the catalog:
//! `a,b` and `k=v|k2=v2`. The surprise: the separators can be escaped with a backslash
//! in a context, and never in a tag.

use std::fmt;

/// Bytes that one tag, key or value can have.
const WORD_BYTES_MAX: usize = 1024;
/// Tags, or pairs of a context, that one asset can have.
const COUNT_MAX: usize = 1000;

/// What is noted about one asset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Labels {
    /// In the order in which they were given, each once.
    pub tags: Tags,
    /// By key.
    pub context: Context,
}

impl Labels {
    /// True when nothing is noted.
    pub fn is_empty(&self) -> bool {
        self.tags.0.is_empty() && self.context.0.is_empty()
    }
}

/// The tags of an asset. Displays as `a,b`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Tags(Vec<String>);

/// The context of an asset: keys with values. Displays as `k=v|k2=v2`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Context(Vec<(String, String)>);

/// Why a text is no tags or no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A word is longer than an asset can note.
    #[error("'{word}…' is longer than {WORD_BYTES_MAX} bytes")]
    TooLong {
        /// Its beginning.
        word: String,
    },
    /// There are more than an asset can have.
    #[error("more than {COUNT_MAX} tags or context entries on one asset")]
    TooMany,
    /// A part of a context has no `=`, or nothing before it.
    #[error("'{part}' is no context entry: write key=value, and several as k=v|k2=v2")]
    NoPair {
        /// The part.
        part: String,
    },
    /// It is not UTF-8, or has characters that no terminal shows.
    #[error("tags and context are printable UTF-8 text")]
    NotText,
}

impl Tags {
    /// Reads `a, b`. Spaces around a tag and empty tags do not count.
    ///
    /// # Errors
    /// [`LabelError`]
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        Self::of(text.split(','))
    }

    /// Tags one by one; each can hold several, as `a,b`.
    ///
    /// # Errors
    /// [`LabelError`]
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, LabelError> {
        let mut tags = Tags::default();
        for word in words.into_iter().flat_map(|word| word.split(',')) {
            tags.add(word)?;
        }
        Ok(tags)
    }

    /// Adds one tag, where it is not there.
    ///
    /// # Errors
    /// [`LabelError`]
    pub fn add(&mut self, tag: &str) -> Result<(), LabelError> {
        let tag = tag.trim();
        if tag.is_empty() || self.has(tag) {
            return Ok(());
        }
        check_word(tag)?;
        if self.0.len() == COUNT_MAX {
            return Err(LabelError::TooMany);
        }
        self.0.push(tag.to_owned());
        Ok(())
    }

    /// Takes one tag away, where it is there.
    pub fn remove(&mut self, tag: &str) {
        self.0.retain(|known| known != tag.trim());
    }

    /// True when it is one of them.
    pub fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|known| known == tag)
    }

    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl Context {
    /// Reads `k=v|k2=v2`; `\|`, `\=` and `\\` stand for the characters themselves.
    ///
    /// # Errors
    /// [`LabelError`]
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        let mut context = Context::default();
        for part in split_escaped(text, '|') {
            if part.trim().is_empty() {
                continue;
            }
            let mut sides = split_escaped(&part, '=').into_iter();
            let key = sides.next().unwrap_or_default();
            // Only the first one that is not escaped separates.
            let value = sides.collect::<Vec<_>>().join("=");
            let has_separator = split_escaped(&part, '=').len() > 1;
            if !has_separator || key.trim().is_empty() {
                return Err(LabelError::NoPair { part });
            }
            context.set(&unescape(key.trim()), &unescape(&value))?;
        }
        Ok(context)
    }

    /// Sets one entry; an empty value takes it away.
    ///
    /// # Errors
    /// [`LabelError`]
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), LabelError> {
        check_word(key)?;
        check_word(value)?;
        let place = self
            .0
            .binary_search_by(|(known, _)| known.as_str().cmp(key));
        match (place, value.is_empty()) {
            (Ok(place), true) => {
                self.0.remove(place);
            }
            (Ok(place), false) => self.0[place].1 = value.to_owned(),
            (Err(_), true) => {}
            (Err(_), false) if self.0.len() == COUNT_MAX => return Err(LabelError::TooMany),
            (Err(place), false) => self.0.insert(place, (key.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Takes over the entries of another one.
    ///
    /// # Errors
    /// [`LabelError`]
    pub fn merge(&mut self, other: &Context) -> Result<(), LabelError> {
        other
            .0
            .iter()
            .try_for_each(|(key, value)| self.set(key, value))
    }

    /// The entries, by key.
    pub fn as_slice(&self) -> &[(String, String)] {
        &self.0
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("|")?;
            }
            write!(f, "{}={}", escape(key), escape(value))?;
        }
        Ok(())
    }
}

fn check_word(word: &str) -> Result<(), LabelError> {
    if word.len() > WORD_BYTES_MAX {
        let word = word.chars().take(20).collect();
        return Err(LabelError::TooLong { word });
    }
    match word
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        true => Err(LabelError::NotText),
        false => Ok(()),
    }
}

/// Splits where the separator is not escaped; the escapes stay.
fn split_escaped(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for c in text.chars() {
        if c == separator && !is_escaped {
            parts.push(String::new());
            continue;
        }
        is_escaped = c == '\\' && !is_escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('|' | '=' | '\\')) => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    plain
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '=' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_split_trimmed_and_kept_once_in_their_order() {
        let tags = Tags::parse(" b, a ,,b,c").unwrap();
        assert_eq!(tags.as_slice(), ["b", "a", "c"]);
        assert_eq!(tags.to_string(), "b,a,c");
        assert_eq!(Tags::parse("").unwrap(), Tags::default());
    }

    #[test]
    fn a_context_is_pairs_and_an_empty_value_takes_one_away() {
        let mut context = Context::parse(r"k=v|a\|b=c\=d=e| x = y z").unwrap();
        assert_eq!(
            context.as_slice(),
            [
                ("a|b".into(), "c=d=e".into()),
                ("k".into(), "v".into()),
                ("x".into(), " y z".into()),
            ]
        );
        context.merge(&Context::parse("k=w").unwrap()).unwrap();
        context.set("x", "").unwrap();
        assert_eq!(context.to_string(), r"a\|b=c\=d\=e|k=w");
    }

    #[test]
    fn what_is_no_pair_too_long_too_much_or_no_text_is_refused() {
        assert!(matches!(
            Context::parse("k=v|alone"),
            Err(LabelError::NoPair { part }) if part == "alone"
        ));
        assert!(matches!(
            Context::parse("=v"),
            Err(LabelError::NoPair { .. })
        ));
        let long = "ü".repeat(600);
        assert!(matches!(
            Tags::parse(&long),
            Err(LabelError::TooLong { .. })
        ));
        assert_eq!(Tags::parse("a\u{1b}b"), Err(LabelError::NotText));
        let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
        assert_eq!(Tags::parse(&many.join(",")), Err(LabelError::TooMany));
    }

    proptest! {
        #[test]
        fn every_context_reads_back_as_it_was_written(
            pairs in proptest::collection::vec(("[a-z|=\\\\]{1,6}", "[a-z|=\\\\ ]{1,6}"), 0..6)
        ) {
            let mut context = Context::default();
            for (key, value) in &pairs {
                context.set(key, value).unwrap();
            }
            prop_assert_eq!(Context::parse(&context.to_string()), Ok(context));
        }
    }
}
