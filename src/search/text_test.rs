//! One written text against one value.
//!
//! `=` compares as written, `:` without case: the whole value, or words of it that
//! stand one after the other. A `*` at the end asks for a beginning only. The
//! surprise is `X/*` for a folder, which also takes X itself.

use super::fields::{Manner, TextField};
use super::span::Operator;
use super::words::{ends_inside_a_word, folded, words};

/// How much of a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// The beginning: `dog*`.
    Beginning,
    /// A directory above it, or itself: `dogs/*` of a folder.
    Within,
}

/// A written text, ready to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextTest {
    pub(super) wanted: String,
    pub(super) extent: Extent,
    pub(super) comparison: Comparison,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The value, as it is.
    Exact,
    /// The value without case; so is `wanted`.
    Folded,
    /// The same, or these words in this order.
    Words(Vec<String>),
}

impl TextTest {
    /// The test that `field:text` or `field=text` asks for.
    pub(super) fn new(
        field: &TextField,
        operator: Operator,
        text: &str,
        extent: Extent,
    ) -> TextTest {
        let (text, extent) = match field {
            TextField::Folder => folder(text, extent),
            _ => (text, extent),
        };
        if operator == Operator::Equals {
            return TextTest {
                wanted: text.to_owned(),
                extent,
                comparison: Comparison::Exact,
            };
        }
        TextTest {
            wanted: folded(text).collect(),
            extent,
            comparison: match field.manner() {
                Manner::Whole => Comparison::Folded,
                Manner::Words => Comparison::Words(wanted_words(text, extent)),
            },
        }
    }

    /// Does the value pass?
    pub(super) fn passes(&self, value: &str) -> bool {
        match &self.comparison {
            Comparison::Exact => fits(value.chars(), &self.wanted, self.extent),
            Comparison::Folded => fits_folded(value, &self.wanted, self.extent),
            Comparison::Words(wanted) => {
                fits_folded(value, &self.wanted, self.extent) || self.words_pass(wanted, value)
            }
        }
    }

    fn words_pass(&self, wanted: &[String], value: &str) -> bool {
        let Some((last, before)) = wanted.split_last() else {
            return false;
        };
        let words: Vec<&str> = words(value).collect();
        words.windows(wanted.len()).any(|run| {
            run.iter()
                .zip(before)
                .all(|(word, wanted)| fits_folded(word, wanted, Extent::Whole))
                && fits_folded(run[before.len()], last, self.extent)
        })
    }
}

/// A folder without the `/` at its ends, and `X/*` as what it means.
fn folder(text: &str, extent: Extent) -> (&str, Extent) {
    let text = text.trim_start_matches('/');
    match extent {
        Extent::Beginning if text.ends_with('/') || text.is_empty() => {
            (text.trim_end_matches('/'), Extent::Within)
        }
        Extent::Beginning => (text, extent),
        Extent::Whole | Extent::Within => (text.trim_end_matches('/'), extent),
    }
}

fn wanted_words(text: &str, extent: Extent) -> Vec<String> {
    let mut wanted: Vec<String> = words(text).map(|word| folded(word).collect()).collect();
    if extent == Extent::Beginning && !wanted.is_empty() && !ends_inside_a_word(text) {
        // `dog-*` asks for a word after `dog`, not for one that begins with it.
        wanted.push(String::new());
    }
    wanted
}

fn fits_folded(value: &str, wanted: &str, extent: Extent) -> bool {
    // The same as below, and most names go this way.
    if value.is_ascii() {
        let lower = value.bytes().map(|byte| byte.to_ascii_lowercase().into());
        return fits(lower, wanted, extent);
    }
    fits(folded(value), wanted, extent)
}

fn fits(mut value: impl Iterator<Item = char>, wanted: &str, extent: Extent) -> bool {
    if !wanted.chars().all(|c| value.next() == Some(c)) {
        return false;
    }
    match extent {
        Extent::Whole => value.next().is_none(),
        Extent::Beginning => true,
        Extent::Within => wanted.is_empty() || matches!(value.next(), None | Some('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(field: TextField, operator: Operator, text: &str) -> TextTest {
        let (text, extent) = match text.strip_suffix('*') {
            Some(text) => (text, Extent::Beginning),
            None => (text, Extent::Whole),
        };
        TextTest::new(&field, operator, text, extent)
    }

    fn check(field: &TextField, operator: Operator, text: &str, yes: &[&str], no: &[&str]) {
        let test = test(field.clone(), operator, text);
        for value in yes {
            assert!(test.passes(value), "{field:?} {text} takes {value}");
        }
        for value in no {
            assert!(!test.passes(value), "{field:?} {text} leaves out {value}");
        }
    }

    #[test]
    fn whole_fields_take_the_whole_value_without_case() {
        let (field, contains) = (TextField::PublicId, Operator::Contains);
        check(
            &field,
            contains,
            "Dog",
            &["dog", "DOG"],
            &["dog_1", "a/dog", ""],
        );
        check(
            &field,
            contains,
            "dog*",
            &["dog", "Dog_1", "dogs/a"],
            &["do", "a/dog"],
        );
        check(
            &field,
            contains,
            "straß*",
            &["STRASSE", "Straße"],
            &["strase"],
        );
    }

    #[test]
    fn exact_comparison_looks_at_case_and_at_the_whole_value() {
        let (field, equals) = (TextField::PublicId, Operator::Equals);
        check(&field, equals, "dog", &["dog"], &["Dog", "dog_1"]);
        check(&field, equals, "dog*", &["dog", "dog_1"], &["Dog_1"]);
        let (field, equals) = (TextField::Tags, Operator::Equals);
        check(
            &field,
            equals,
            "full-analysis",
            &["full-analysis"],
            &["Full-analysis"],
        );
        check(&field, equals, "full*", &["full-analysis"], &["half full"]);
    }

    #[test]
    fn words_match_in_a_row_without_case() {
        let (field, contains) = (TextField::Tags, Operator::Contains);
        check(
            &field,
            contains,
            "Analysis",
            &["full-analysis", "ANALYSIS", "an analysis of it"],
            &["analyses", "fullanalysis", ""],
        );
        check(
            &field,
            contains,
            "red shirt",
            &["red shirt", "a RED-shirt_2"],
            &["shirt red", "red blue shirt", "red shirts"],
        );
    }

    #[test]
    fn a_star_lets_only_the_last_word_go_on() {
        let (field, contains) = (TextField::Filename, Operator::Contains);
        check(
            &field,
            contains,
            "red sh*",
            &["red_shirt.png", "big red sh"],
            &["reddish shirt", "red"],
        );
        check(
            &field,
            contains,
            "dog-*",
            &["dog-1", "my dog bed"],
            &["dogs", "dog"],
        );
    }

    #[test]
    fn a_value_without_words_is_compared_as_a_whole() {
        let (field, contains) = (TextField::Tags, Operator::Contains);
        check(&field, contains, "!!", &["!!"], &["!", "a!!", ""]);
        check(&field, contains, "!*", &["!!", "!a"], &["a"]);
        check(&field, contains, "", &[""], &["a", "a b"]);
    }

    #[test]
    fn a_folder_is_itself_and_with_a_star_what_is_below() {
        let field = TextField::Folder;
        for operator in [Operator::Contains, Operator::Equals] {
            check(&field, operator, "a/b", &["a/b"], &["a", "a/b/c", "a/bc"]);
            check(&field, operator, "/a/b/", &["a/b"], &["a/b/c"]);
            check(
                &field,
                operator,
                "a/*",
                &["a", "a/b", "a/b/c"],
                &["ab", "b/a", ""],
            );
            check(&field, operator, "a*", &["a", "ab", "a/b"], &["b"]);
            check(&field, operator, "/*", &["", "a", "a/b"], &[]);
            check(&field, operator, "/", &[""], &["a"]);
        }
        check(&field, Operator::Contains, "A/*", &["a/b"], &["b"]);
        check(&field, Operator::Equals, "A/*", &["A/b"], &["a/b"]);
    }
}
