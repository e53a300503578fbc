//! Settings that a stranger may have written: what could reach beyond the vault is left out.
//!
//! Whoever can write to a store that is not encrypted can write the settings in its journal.
//! The lines stay in the file, as comments, for its owner to look at.

use std::path::Path;

use super::api::ApiSettings;
use super::file::Settings;
use super::{ConfigError, file};

/// Tables that name files of this machine, or servers that it talks to.
const TABLES: [&str; 3] = ["notify", "api", "encryption"];

/// Keys of the first table that say how much of this machine is used.
const RESOURCES: [&str; 7] = [
    "cache_bytes_max",
    "disk_cache_bytes_max",
    "pack_bytes",
    "zstd_level",
    "ingest_threads",
    "spool_bytes_max",
    "spool_max_bytes",
];

/// The text without them.
///
/// # Errors
/// [`ConfigError`] where they are written in a way that cannot be taken apart.
pub(super) fn without_reach(path: &Path, text: &str) -> Result<String, ConfigError> {
    let (mut is_out, mut is_first) = (false, true);
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = header(line) {
            is_first = false;
            is_out = TABLES.contains(&name);
            if is_out {
                lines.push("# Not taken over from the store: look whether it is yours.".into());
            }
        }
        let is_resource = is_first && RESOURCES.contains(&key(line));
        lines.push(
            match (is_out || is_resource) && !line.trim_start().starts_with('#') && !line.is_empty()
            {
                true => format!("#{line}"),
                false => line.to_owned(),
            },
        );
    }
    let text = lines.join("\n") + "\n";
    let read = file::read(path, &text)?;
    if !has_own_resources(&read) {
        return Err(ConfigError::BadValue {
            file: path.to_owned(),
            line: 1,
            key: RESOURCES.join(", "),
            problem: "the settings in the store have them in a form that cannot be left out".into(),
        });
    }
    if read.mail.is_some() || read.api != ApiSettings::default() || read.encryption.is_some() {
        return Err(ConfigError::BadValue {
            file: path.to_owned(),
            line: 1,
            key: TABLES.join(", "),
            problem: "the settings in the store have them in a form that cannot be left out".into(),
        });
    }
    Ok(text)
}

fn has_own_resources(read: &Settings) -> bool {
    let defaults = Settings::default();
    read.cache_bytes_max == defaults.cache_bytes_max
        && read.disk_cache_bytes_max == defaults.disk_cache_bytes_max
        && read.pack_bytes == defaults.pack_bytes
        && read.zstd_level == defaults.zstd_level
        && read.ingest_threads == defaults.ingest_threads
        && read.spool_bytes_max == defaults.spool_bytes_max
}

/// The key in `key = value`.
fn key(line: &str) -> &str {
    let key = line.split('=').next().unwrap_or_default();
    key.trim().trim_matches(['"', '\''])
}

/// The name in `[name]`.
fn header(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?;
    let name = name.split(']').next().unwrap_or_default();
    Some(name.trim_matches(['[', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_of_this_machine_is_used_is_for_its_owner_to_say() {
        let text = "format = 1\ncache_bytes_max = \"1TiB\"\n  ingest_threads=64\nname = \"x\"\n";
        let left = without_reach(Path::new("f"), text).unwrap();
        assert_eq!(
            left,
            "format = 1\n#cache_bytes_max = \"1TiB\"\n#  ingest_threads=64\nname = \"x\"\n"
        );
        let odd = "format = 1\n\"cache\\u005Fbytes_max\" = \"1TiB\"\n";
        assert!(without_reach(Path::new("f"), odd).is_err());
    }

    #[test]
    fn what_reaches_beyond_the_vault_is_a_comment_and_the_rest_stays() {
        let text = "format = 1\n# mine\nbackup = \"off\"\n[api]\nnotification_url = \"http://10.0.0.1\"\n\n\
            [notify]\nsmtp_host = \"evil\"\nfrom = \"a@b\"\npassword_file = \"/etc/shadow\"\n\
            [retention]\nkeep_last = 3\n";
        let harmless = without_reach(Path::new("keepfs.toml"), text).unwrap();
        let read = file::read(Path::new("keepfs.toml"), &harmless).unwrap();
        assert!(read.mail.is_none());
        assert_eq!(read.api, ApiSettings::default());
        assert!(harmless.contains("# mine\nbackup = \"off\""));
        assert!(harmless.contains("#password_file = \"/etc/shadow\""));
        assert!(harmless.contains("\n[retention]\nkeep_last = 3\n"));
    }

    #[test]
    fn what_cannot_be_taken_apart_is_refused() {
        let text = "format = 1\napi = { notification_url = \"http://10.0.0.1\" }\n";
        assert!(without_reach(Path::new("keepfs.toml"), text).is_err());
    }
}
