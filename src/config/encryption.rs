//! The table `[encryption]`: that the store is encrypted, and where the secret is.
//!
//! Never the secret itself. The surprise: the table counts even when it is empty: the vault
//! is encrypted then, and somebody is asked for the passphrase.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::section::{Wrong, entries_of, string};

const KEYS: [&str; 2] = ["key_file", "passphrase_file"];

/// Where the secret of an encrypted vault is. Paths are absolute or relative to the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A key file.
    KeyFile(PathBuf),
    /// A file with a passphrase on its first line.
    PassphraseFile(PathBuf),
    /// Nowhere: the environment has it, or somebody types it.
    Asked,
}

impl SecretPlace {
    /// The same with absolute paths.
    pub(super) fn in_vault(self, absolute: impl Fn(&Path) -> PathBuf) -> Self {
        match self {
            SecretPlace::KeyFile(path) => SecretPlace::KeyFile(absolute(&path)),
            SecretPlace::PassphraseFile(path) => SecretPlace::PassphraseFile(absolute(&path)),
            SecretPlace::Asked => SecretPlace::Asked,
        }
    }

    /// Its key in the table, and what stands there.
    pub(super) fn entry(&self) -> Option<(&'static str, &Path)> {
        match self {
            SecretPlace::KeyFile(path) => Some((KEYS[0], path)),
            SecretPlace::PassphraseFile(path) => Some((KEYS[1], path)),
            SecretPlace::Asked => None,
        }
    }
}

/// Reads the table, whose name stands at `at`.
pub(super) fn read(value: &DeValue<'_>, at: usize) -> Result<SecretPlace, Wrong> {
    let mut place = SecretPlace::Asked;
    for (key, value, at) in entries_of(value, at, "encryption")? {
        let secret_in = match key {
            "key_file" => SecretPlace::KeyFile,
            "passphrase_file" => SecretPlace::PassphraseFile,
            _ => return Err(Wrong::unknown(at, Some("encryption"), key, &KEYS)),
        };
        let value_is = |problem| Wrong::value(at, format!("encryption.{key}"), problem);
        let path = file_name(value).map_err(value_is)?;
        if place != SecretPlace::Asked {
            let problem = "a vault has a key file or a passphrase: keep one";
            return Err(value_is(problem.into()));
        }
        place = secret_in(path);
    }
    Ok(place)
}

fn file_name(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let name = string(value)?;
    if name.is_empty() || name.contains(char::is_control) {
        return Err("must name a file".into());
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refusal, vault};
    use super::super::{Config, InitOptions};
    use super::*;

    #[test]
    fn the_table_says_that_the_vault_is_encrypted_and_where_the_secret_is() {
        let place = |text: &str| {
            let directory = vault(&format!("format = 1\n{text}"));
            let config = Config::load(directory.path()).unwrap();
            (config.encryption, config.vault_dir)
        };
        assert_eq!(place("").0, None);
        assert_eq!(place("[encryption]\n").0, Some(SecretPlace::Asked));
        let (found, root) = place("[encryption]\nkey_file = \"my.key\"");
        assert_eq!(found, Some(SecretPlace::KeyFile(root.join("my.key"))));
        let (found, _) = place("[encryption]\npassphrase_file = \"/run/pass\"");
        assert_eq!(found, Some(SecretPlace::PassphraseFile("/run/pass".into())));
    }

    #[test]
    fn a_wrong_table_is_one_line_with_the_way_out() {
        for (text, problem) in [
            (
                "encryption = true",
                "line 2: encryption: is of type boolean",
            ),
            (
                "[encryption]\nkey = 1",
                "line 3: unknown key 'encryption.key'",
            ),
            (
                "[encryption]\nkey_file = \"\"",
                "line 3: encryption.key_file: must name a file",
            ),
            (
                "[encryption]\nkey_file = \"a\"\npassphrase_file = \"b\"",
                "a key file or a passphrase: keep one",
            ),
        ] {
            let error = refusal(&format!("format = 1\n{text}"));
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn every_choice_of_init_reads_back() {
        for place in [
            SecretPlace::Asked,
            SecretPlace::KeyFile("/a".into()),
            SecretPlace::PassphraseFile("/a \"b\"".into()),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let options = InitOptions {
                encryption: Some(place.clone()),
                ..InitOptions::default()
            };
            let config = Config::create(directory.path(), &options).unwrap();
            assert_eq!(config.encryption, Some(place));
        }
    }
}
