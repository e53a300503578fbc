//! Letters without case, and words: what `:` compares.
//!
//! Folding goes character by character, so that the folded beginning of a text is
//! always the beginning of the folded text; `str::to_lowercase` looks at neighbours
//! (the Greek final sigma), and a walk pruned by such a prefix would miss files.
//! A word is a run of letters and digits; `_` and `-` separate.

/// The characters without case: `Straße`, `STRASSE` and `strasse` are the same.
pub(super) fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    // Up and down again, because several small letters share a capital (σ and ς) or
    // have two (ß); down first, because ẞ has no capital but itself.
    text.chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// The words, in order.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// Ends in the middle of a word, so that what follows could go on with it.
pub(super) fn ends_inside_a_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(text: &str) -> String {
        folded(text).collect()
    }

    #[test]
    fn letters_that_differ_in_case_only_fold_to_the_same() {
        for (one, other) in [
            ("Dog", "dOG"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("Éclair", "éCLAIR"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("eclair"), fold("éclair"));
    }

    #[test]
    fn a_folded_beginning_is_the_beginning_of_the_folded_text() {
        let text = "ΑΣΑ Straẞe İstanbul";
        for (end, _) in text.char_indices() {
            assert!(fold(text).starts_with(&fold(&text[..end])), "{end}");
        }
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let found: Vec<&str> = words("full-analysis_2 (Über).jpg").collect();
        assert_eq!(found, ["full", "analysis", "2", "Über", "jpg"]);
        assert_eq!(words("--!").count(), 0);
    }
}
