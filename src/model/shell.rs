//! A word in a command that is printed, so that a shell reads it as it was meant.

use std::fmt;

/// Shown plain where no shell makes anything else of it, else in quotes.
#[derive(Debug, Clone, Copy)]
pub struct ShellWord<T>(pub T);

impl<T: fmt::Display> fmt::Display for ShellWord<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0.to_string();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=+,@%".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => f.write_str(&word),
            false => write!(f, "'{}'", word.replace('\'', r"'\''")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_where_a_shell_would_change_it() {
        for (word, shown) in [
            ("s3://b/p", "s3://b/p"),
            ("/srv/vault-1", "/srv/vault-1"),
            (
                "s3://b?endpoint=http://x&region=y",
                "'s3://b?endpoint=http://x&region=y'",
            ),
            ("/srv/my photos", "'/srv/my photos'"),
            ("it's", r"'it'\''s'"),
            ("~/x", "'~/x'"),
            ("", "''"),
        ] {
            assert_eq!(ShellWord(word).to_string(), shown);
        }
    }
}
