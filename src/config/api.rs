//! The table `[api]`: what the HTTP server may do, and how others reach it.

use std::path::Path;

use toml::de::DeValue;

use super::ConfigError;
use super::file::{line_of, string, wrong_type};
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

/// Reads the table that stands at `table_line` of `text`.
pub(super) fn read(
    file: &Path,
    text: &str,
    table_line: usize,
    value: &DeValue<'_>,
) -> Result<ApiSettings, ConfigError> {
    let bad_value = |line, key: String, problem| ConfigError::BadValue {
        file: file.to_owned(),
        line,
        key,
        problem,
    };
    let table = value.as_table().ok_or_else(|| {
        let problem = wrong_type(value, "a table, with [api] on a line of its own");
        bad_value(table_line, "api".into(), problem)
    })?;
    let mut settings = ApiSettings::default();
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let name = key.get_ref().as_ref();
        let line = line_of(text, key.span().start);
        if !KEYS.contains(&name) {
            return Err(ConfigError::UnknownKey {
                file: file.to_owned(),
                line,
                key: format!("api.{}", name.escape_debug()),
                known: KEYS.join(", "),
            });
        }
        settings
            .set(name, value.get_ref())
            .map_err(|problem| bad_value(line, format!("api.{name}"), problem))?;
    }
    Ok(settings)
}

impl ApiSettings {
    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        match key {
            "allow_fetch" => {
                self.allow_fetch = value
                    .as_bool()
                    .ok_or_else(|| wrong_type(value, "true or false"))?;
            }
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
    use super::super::file;
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
