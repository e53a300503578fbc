//! Another store in a settings file that people have written in: one value changes, every
//! other byte stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::file;
use super::section::line_of;
use super::strange::without_reach;
use super::{Config, ConfigError, FILE_NAME};
use crate::model::StorePlace;

/// Who can have written settings that came out of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Only who has the vault's key.
    Owner,
    /// Whoever can write to the store.
    Anybody,
}

impl Config {
    /// The same settings with another store. A bucket without a prefix gets the vault's
    /// name for one.
    pub fn with_store(&self, place: StorePlace) -> Config {
        Config {
            store: complete(place, &self.vault_dir, &self.name),
            ..self.clone()
        }
    }

    /// Names another store in the file of a vault, durably: the file is as it was or as it
    /// shall be, whenever the power fails.
    ///
    /// # Errors
    /// [`ConfigError`]; the file is as it was then.
    pub fn move_store(vault_dir: &Path, place: &StorePlace) -> Result<(), ConfigError> {
        // Where it is a symlink, the file that it names is replaced, not the link.
        let named = vault_dir.join(FILE_NAME);
        let file = fs::canonicalize(&named).unwrap_or(named);
        let failed = |error: io::Error| ConfigError::io("changing", &file, error);
        let text = fs::read_to_string(&file).map_err(failed)?;
        let new = replaced(&file, &text, place)?;
        super::write_atomically(file.parent().unwrap_or(vault_dir), &file, &new).map_err(failed)
    }

    /// Writes the settings `text` of a vault that was elsewhere into the directory that it is
    /// rebuilt in, with its store at `place`. `name` is what it was called there, for a text
    /// that leaves that to the directory; `live` the place of the live tree, if not the one
    /// in the text. Where anybody can have written the text, what reaches beyond the vault is
    /// left out.
    ///
    /// # Errors
    /// [`ConfigError`]; there is no file then.
    pub fn rebuild(
        vault_dir: &Path,
        text: &str,
        name: &str,
        place: &StorePlace,
        live: Option<&Path>,
        origin: Origin,
    ) -> Result<Config, ConfigError> {
        let file = vault_dir.join(FILE_NAME);
        let mut text = match origin {
            Origin::Owner => replaced(&file, text, place)?,
            Origin::Anybody => replaced(&file, &without_reach(&file, text)?, place)?,
        };
        if let Some(live) = live {
            let live = live.to_str().ok_or_else(|| ConfigError::BadFlag {
                key: "live",
                problem: format!("{} is not UTF-8: give another directory", live.display()),
            })?;
            text = with_value(&file, &text, "live", &toml::Value::from(live).to_string())?;
        }
        if file::read(&file, &text)?.name.is_none() {
            text = with_value(&file, &text, "name", &toml::Value::from(name).to_string())?;
        }
        let settings = file::read(&file, &text)?;
        super::write_atomically(vault_dir, &file, &text)
            .map_err(|error| ConfigError::io("writing", &file, error))?;
        let vault_dir = fs::canonicalize(vault_dir)
            .map_err(|error| ConfigError::io("resolving", vault_dir, error))?;
        Ok(Self::of(vault_dir, settings))
    }
}

/// The text with another value of `store`.
fn replaced(file: &Path, text: &str, place: &StorePlace) -> Result<String, ConfigError> {
    let value = toml::Value::from(written(place)).to_string();
    let moved = with_value(file, text, "store", &value)?;
    let read = file::read(file, &moved)?;
    let expected = StorePlace::parse(&written(place));
    if expected.as_ref() != Ok(&read.store) {
        return Err(ConfigError::BadValue {
            file: file.to_owned(),
            line: 1,
            key: "store".into(),
            problem: format!(
                "it does not read as {value} after the change: write the line plainly, as \
                 store = \"…\" with what it is now, and run the command again"
            ),
        });
    }
    Ok(moved)
}

/// The text with `value` for a key of the first table.
pub(super) fn with_value(
    file: &Path,
    text: &str,
    key: &str,
    value: &str,
) -> Result<String, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        file: file.to_owned(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        problem: error.message().replace('\n', " "),
    })?;
    let table = table.get_ref();
    let (span, new) = match (table.get_key_value(key), table.get("format")) {
        (Some((_, old)), _) => (old.span(), value.to_owned()),
        // Every file has a format; what stands behind it belongs to no table yet.
        (None, Some(format)) => {
            let end = format.span().end;
            let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
            (line_end..line_end, format!("\n{key} = {value}"))
        }
        (None, None) => (0..0, format!("{key} = {value}\n")),
    };
    let mut changed = text.to_owned();
    changed.replace_range(span, &new);
    Ok(changed)
}

/// As people write it: a directory without a scheme, where it is text.
fn written(place: &StorePlace) -> String {
    let path = place.directory().and_then(Path::to_str);
    path.map_or_else(|| place.to_string(), ToOwned::to_owned)
}

/// A directory is below the vault unless it is absolute; a bucket has a prefix.
pub(super) fn complete(place: StorePlace, vault_dir: &Path, name: &str) -> StorePlace {
    match place {
        StorePlace::Directory(path) => StorePlace::Directory(vault_dir.join::<PathBuf>(path)),
        StorePlace::Bucket(mut place) => {
            if place.prefix.is_empty() {
                name.clone_into(&mut place.prefix);
            }
            StorePlace::Bucket(place)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn moved(text: &str, url: &str) -> String {
        let place = StorePlace::parse(url).unwrap();
        replaced(Path::new("f"), text, &place).unwrap()
    }

    #[test]
    fn only_the_value_of_store_changes() {
        for (before, url, after) in [
            (
                "# mine\nformat = 1\nstore  =  \"store\" # old\nname = \"x\"\n[retention]\n",
                "s3://b/p?region=x",
                "# mine\nformat = 1\nstore  =  \"s3://b/p?region=x\" # old\nname = \"x\"\n[retention]\n",
            ),
            (
                "store = '''\n/a'''\nformat = 1",
                "file:///srv/%22x%22",
                "store = '/srv/\"x\"'\nformat = 1",
            ),
            (
                "format = 1 # one\n#store = \"x\"\n[retention]\nkeep_last = 3\n",
                "/srv/x",
                "format = 1 # one\nstore = \"/srv/x\"\n#store = \"x\"\n[retention]\nkeep_last = 3\n",
            ),
            (
                "format = 1",
                "file:///a%FF",
                "format = 1\nstore = \"file:///a%FF\"",
            ),
        ] {
            assert_eq!(moved(before, url), after);
        }
    }

    #[test]
    fn the_file_keeps_its_mode_and_a_symlink_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real.toml");
        let vault = directory.path().join("vault");
        fs::create_dir(&vault).unwrap();
        fs::write(&real, "format = 1\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, vault.join(FILE_NAME)).unwrap();
        let place = StorePlace::parse("gs://b/p").unwrap();
        Config::move_store(&vault, &place).unwrap();
        assert!(vault.join(FILE_NAME).is_symlink());
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(Config::load(&vault).unwrap().store, place);
    }

    #[test]
    fn settings_of_a_rebuilt_vault_name_its_own_store_and_keep_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let place = StorePlace::parse("gs://b/p").unwrap();
        let rebuilt = |text, live| {
            let live: Option<&str> = live;
            let config = Config::rebuild(
                directory.path(),
                text,
                "photos",
                &place,
                live.map(Path::new),
                Origin::Owner,
            );
            (
                config.unwrap(),
                fs::read_to_string(directory.path().join(FILE_NAME)).unwrap(),
            )
        };
        let (config, text) = rebuilt("format = 1\nlive = \"/srv/x\"\nname = \"mine\"\n", None);
        assert_eq!((&*config.name, &config.store), ("mine", &place));
        assert_eq!(config.live_dir, Path::new("/srv/x"));
        assert_eq!(
            text,
            "format = 1\nstore = \"gs://b/p\"\nlive = \"/srv/x\"\nname = \"mine\"\n"
        );
        let (config, _) = rebuilt("format = 1\nlive = \"/srv/x\"", Some("/new"));
        assert_eq!(config.name, "photos");
        assert_eq!(config.live_dir, Path::new("/new"));
    }

    #[test]
    fn settings_that_cannot_be_read_are_left_alone() {
        let place = StorePlace::parse("gs://b/p").unwrap();
        let error = replaced(Path::new("f"), "format = 1\nbogus = 2\n", &place);
        assert!(error.is_err_and(|error| error.to_string().contains("bogus")));
    }
}
