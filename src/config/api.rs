//! The table `[api]`: what the HTTP server may do, and how others reach it.

use toml::de::DeValue;

use super::section::{Wrong, entries_of, string, truth};
use super::units::parse_bytes;

const KEYS: [&str; 4] = [
    "allow_fetch",
    "public_url",
    "notification_url",
    "upload_bytes_max",
];

/// What the HTTP server may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// Fetch uploads from addresses that callers name.
    pub allow_fetch: bool,
    /// What others put before the path of an original, without a `/` at the end. `None`: what
    /// the caller itself used.
    pub public_url: Option<String>,
    /// Who is told of finished work, where a call says nothing else.
    pub notification_url: Option<String>,
    /// Bytes that one upload can have.
    pub upload_bytes_max: u64,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            allow_fetch: false,
            public_url: None,
            notification_url: None,
            upload_bytes_max: 100 << 30,
        }
    }
}

/// Reads the table, whose name stands at `at`.
pub(super) fn read(value: &DeValue<'_>, at: usize) -> Result<ApiSettings, Wrong> {
    let mut settings = ApiSettings::default();
    for (key, value, at) in entries_of(value, at, "api")? {
        if !KEYS.contains(&key) {
            return Err(Wrong::unknown(at, Some("api"), key, &KEYS));
        }
        settings
            .set(key, value)
            .map_err(|problem| Wrong::value(at, format!("api.{key}"), problem))?;
    }
    Ok(settings)
}

impl ApiSettings {
    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        match key {
            "allow_fetch" => self.allow_fetch = truth(value)?,
            "public_url" => self.public_url = Some(address(string(value)?)?),
            "notification_url" => self.notification_url = Some(address(string(value)?)?),
            "upload_bytes_max" => self.upload_bytes_max = parse_bytes(string(value)?)?,
            // Every other key is one of KEYS.
            _ => {}
        }
        Ok(())
    }
}

fn address(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !has_host || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err("must be an address that begins with https:// or http://".into());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{ConfigError, file};
    use super::*;

    fn api(lines: &str) -> Result<ApiSettings, ConfigError> {
        let text = format!("format = 1\n[api]\n{lines}");
        file::read(Path::new("keepfs.toml"), &text).map(|settings| settings.api)
    }

    #[test]
    fn the_table_is_read_and_everything_in_it_has_a_default() {
        let read = api(
            "allow_fetch = true\npublic_url = \"https://a.example/x/\"\nupload_bytes_max = \"1 MiB\"",
        );
        let read = read.unwrap();
        assert!(read.allow_fetch && read.upload_bytes_max == 1 << 20);
        assert_eq!(read.public_url.as_deref(), Some("https://a.example/x"));
        assert_eq!(api("").unwrap(), ApiSettings::default());
    }

    #[test]
    fn what_is_wrong_names_its_line_and_key() {
        for (lines, expected) in [
            ("allow_fetch = 1", "keepfs.toml line 3: api.allow_fetch"),
            (
                "\npublic_url = \"ftp://a\"",
                "keepfs.toml line 4: api.public_url",
            ),
            ("fetch = true", "api.fetch"),
        ] {
            let said = api(lines).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }
}
