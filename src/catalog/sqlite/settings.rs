//! Settings: a key and a text. Which of them are published is said in `catalog::journal`.

use super::SqliteCatalog;
use super::transaction::values;
use crate::catalog::Result;
use crate::catalog::journal::is_published;

impl SqliteCatalog {
    pub(super) fn read_setting(&self, key: &str) -> Result<Option<String>> {
        self.one("SELECT value FROM setting WHERE key = ?1", [key], |row| {
            row.get(0)
        })
    }

    pub(super) fn write_setting(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        if is_published(key) {
            self.changed.note_setting();
        }
        match value {
            Some(value) => self.write(
                "INSERT INTO setting (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                values![key.to_owned(), value.to_owned()],
            )?,
            None => self.write(
                "DELETE FROM setting WHERE key = ?1",
                values![key.to_owned()],
            )?,
        };
        Ok(())
    }
}
