//! The vault's switch in a settings file that people have written in.

use std::fs;
use std::io;
use std::path::Path;

use super::moved_store::with_value;
use super::{Config, ConfigError, FILE_NAME};
use crate::model::Override;

impl Config {
    /// Writes `backup` in the file of a vault, durably; every other byte stays.
    ///
    /// # Errors
    /// [`ConfigError`]; the file is as it was then.
    pub fn switch_backup(vault_dir: &Path, backup: Override) -> Result<(), ConfigError> {
        let named = vault_dir.join(FILE_NAME);
        let file = fs::canonicalize(&named).unwrap_or(named);
        let failed = |error: io::Error| ConfigError::io("changing", &file, error);
        let text = fs::read_to_string(&file).map_err(failed)?;
        let value = toml::Value::from(backup.as_str()).to_string();
        let new = with_value(&file, &text, "backup", &value)?;
        super::file::read(&file, &new)?;
        super::write_atomically(file.parent().unwrap_or(vault_dir), &file, &new).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_changes_and_every_comment_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE_NAME);
        fs::write(&file, "# mine\nformat = 1\nbackup = \"on\" # all of it\n").unwrap();
        Config::switch_backup(directory.path(), Override::Off).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, "# mine\nformat = 1\nbackup = \"off\" # all of it\n");
        let read = Config::load(directory.path()).unwrap();
        assert_eq!(read.policy.backup, Override::Off);
    }
}
