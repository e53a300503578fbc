//! Rust text to the paths it names, well enough to check arrows: comments and
//! literals are blanked, the rest is tokens, and `use` groups are spelled out.

/// A token: an identifier, `::`, or one other character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path as written, group members spelled out: `["crate", "model", "Name"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRef {
    pub segments: Vec<String>,
    pub line: usize,
    /// How many inline `mod name { … }` enclose it.
    pub inline_mods: usize,
}

/// The tokens of a source text, without comments and literals.
pub fn tokens(source: &str) -> Vec<Token> {
    let code: Vec<char> = blanked(source).chars().collect();
    let mut tokens = Vec::new();
    let (mut line, mut at) = (1, 0);
    while at < code.len() {
        let c = code[at];
        let start = at;
        at += 1;
        if is_word(c) {
            while at < code.len() && is_word(code[at]) {
                at += 1;
            }
        } else if c == ':' && code.get(at) == Some(&':') {
            at += 1;
        }
        if !c.is_whitespace() {
            let text = code[start..at].iter().collect();
            tokens.push(Token { text, line });
        }
        line += usize::from(c == '\n');
    }
    tokens
}

/// Every path of two or more segments, and every name right after `use`.
pub fn paths(tokens: &[Token]) -> Vec<PathRef> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    let (mut depth, mut inline_mods) = (0usize, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "{" => {
                if at >= 2 && text(at - 2) == "mod" {
                    inline_mods.push(depth);
                }
                depth += 1;
            }
            "}" => {
                depth = depth.saturating_sub(1);
                if inline_mods.last() == Some(&depth) {
                    inline_mods.pop();
                }
            }
            _ => {}
        }
        let after_use = at > 0 && matches!(text(at - 1), "use" | "extern");
        let begins_path = text(at).starts_with(is_word) && text(at + 1) == "::";
        if after_use || begins_path {
            let before = found.len();
            let next = tree(tokens, at, &[], &mut found);
            for path in &mut found[before..] {
                path.inline_mods = inline_mods.len();
            }
            at = next.max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one use tree or path at `at`; returns where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<PathRef>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut segments = prefix.to_vec();
    if text(at) == "::" {
        at += 1;
    }
    loop {
        if text(at) == "{" && (text(at.wrapping_sub(1)) == "::" || segments.is_empty()) {
            at += 1;
            while at < tokens.len() && text(at) != "}" {
                at = match text(at) {
                    "," => at + 1,
                    "as" => at + 2,
                    _ => tree(tokens, at, &segments, found).max(at + 1),
                };
            }
            return at + 1;
        }
        if !text(at).starts_with(is_word) && text(at) != "*" {
            break;
        }
        segments.push(text(at).to_owned());
        at += 1;
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    if !segments.is_empty() {
        found.push(PathRef {
            segments,
            line,
            inline_mods: 0,
        });
    }
    at
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text with comments and literals replaced by spaces, line by line the same.
fn blanked(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let starts = |at: usize, text: &str| {
        text.chars()
            .enumerate()
            .all(|(i, c)| chars.get(at + i) == Some(&c))
    };
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = if starts(at, "//") {
            at + chars[at..].iter().take_while(|c| **c != '\n').count()
        } else if starts(at, "/*") {
            let (mut depth, mut end) = (1, at + 2);
            while depth > 0 && end < chars.len() {
                let step = match () {
                    () if starts(end, "/*") => (1, 2),
                    () if starts(end, "*/") => (-1, 2),
                    () => (0, 1),
                };
                depth += step.0;
                end += step.1;
            }
            end
        } else if let Some(hashes) = raw_string_hashes(&chars, at) {
            let close: String = std::iter::once('"')
                .chain("#".repeat(hashes).chars())
                .collect();
            let mut end = at + hashes + 2;
            while end < chars.len() && !starts(end, &close) {
                end += 1;
            }
            end + close.len()
        } else if chars[at] == '"' {
            closing(&chars, at, '"')
        } else if chars[at] == '\'' && (starts(at + 1, "\\") || chars.get(at + 2) == Some(&'\'')) {
            closing(&chars, at, '\'')
        } else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        let end = end.min(chars.len());
        out.extend(
            chars[at..end]
                .iter()
                .map(|c| if *c == '\n' { '\n' } else { ' ' }),
        );
        at = end;
    }
    out
}

/// Behind the literal that opens at `at`.
fn closing(chars: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    end + 1
}

/// At the `r` of `r"…"` or `r#"…"#` (also `br`, `cr`): how many hashes.
fn raw_string_hashes(chars: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map_or(' ', |before| chars[before]);
    if chars[at] != 'r' || (is_word(before) && !matches!(before, 'b' | 'c')) {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}
