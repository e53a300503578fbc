//! The table `[notify]`: by which server mail is sent, from whom, to whom.
//!
//! The password is not among it: only the name of a file that has it. Addresses are
//! looked at for what no address has; what the mail library makes of them is `notify`'s.

use std::path::PathBuf;

use toml::de::DeValue;

use super::section::{Wrong, entries_of, integer, string, wrong_type};

const KEYS: [&str; 7] = [
    "smtp_host",
    "smtp_port",
    "smtp_security",
    "from",
    "to",
    "username",
    "password_file",
];

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS from a command on, without which nothing is sent.
    StartTls,
    /// None: for a server on this machine.
    Off,
}

/// How mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// Name or address of the server.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// The sender.
    pub from: String,
    /// The recipients, at least one.
    pub to: Vec<String>,
    /// Whom to log in as. `None`: no login.
    pub username: Option<String>,
    /// The file with the password, absolute or relative to the vault. `None`: it comes
    /// from the environment.
    pub password_file: Option<PathBuf>,
}

impl SmtpSecurity {
    fn port(self) -> u16 {
        match self {
            SmtpSecurity::Tls => 465,
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Off => 25,
        }
    }
}

/// What the table says so far.
#[derive(Default)]
struct Draft {
    host: Option<String>,
    port: Option<u16>,
    security: Option<SmtpSecurity>,
    from: Option<String>,
    to: Vec<String>,
    username: Option<String>,
    password_file: Option<PathBuf>,
}

/// Reads the table, whose name stands at `at`.
pub(super) fn read(value: &DeValue<'_>, at: usize) -> Result<MailSettings, Wrong> {
    let mut draft = Draft::default();
    for (key, value, at) in entries_of(value, at, "notify")? {
        if !KEYS.contains(&key) {
            return Err(Wrong::unknown(at, Some("notify"), key, &KEYS));
        }
        draft
            .set(key, value)
            .map_err(|problem| Wrong::value(at, format!("notify.{key}"), problem))?;
    }
    draft
        .finish()
        .map_err(|(key, problem)| Wrong::value(at, format!("notify.{key}"), problem))
}

impl Draft {
    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        match key {
            "smtp_host" => self.host = Some(word(string(value)?)?),
            "smtp_port" => {
                let port = u16::try_from(integer(value)?).ok().filter(|port| *port > 0);
                self.port = Some(port.ok_or("must be from 1 to 65535")?);
            }
            "smtp_security" => self.security = Some(security(value)?),
            "from" => self.from = Some(address(string(value)?)?),
            "to" => self.to = addresses(value)?,
            "username" => self.username = Some(word(string(value)?)?),
            "password_file" => self.password_file = Some(word(string(value)?)?.into()),
            // Every other key is one of KEYS.
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<MailSettings, (&'static str, String)> {
        let missing = |key, example: &str| (key, format!("is missing: add a line like {example}"));
        let security = self.security.unwrap_or(SmtpSecurity::Tls);
        let settings = MailSettings {
            host: self
                .host
                .ok_or_else(|| missing("smtp_host", "smtp_host = \"mail.example.com\""))?,
            port: self.port.unwrap_or(security.port()),
            security,
            from: self
                .from
                .ok_or_else(|| missing("from", "from = \"keepfs@example.com\""))?,
            to: self.to,
            username: self.username,
            password_file: self.password_file,
        };
        if settings.to.is_empty() {
            return Err(missing("to", "to = [\"you@example.com\"]"));
        }
        let is_here = matches!(&settings.host[..], "localhost" | "127.0.0.1" | "::1");
        if security == SmtpSecurity::Off && settings.username.is_some() && !is_here {
            let problem = "would send the password in the clear: write \"tls\" or \"starttls\"";
            return Err(("smtp_security", problem.into()));
        }
        Ok(settings)
    }
}

fn security(value: &DeValue<'_>) -> Result<SmtpSecurity, String> {
    match string(value)? {
        "tls" => Ok(SmtpSecurity::Tls),
        "starttls" => Ok(SmtpSecurity::StartTls),
        "off" => Ok(SmtpSecurity::Off),
        _ => Err("write \"tls\", \"starttls\" or \"off\"".into()),
    }
}

fn addresses(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let list = value
        .as_array()
        .ok_or_else(|| wrong_type(value, "a list like [\"you@example.com\"]"))?;
    list.iter()
        .map(|one| address(string(one.get_ref())?))
        .collect()
}

fn address(text: &str) -> Result<String, String> {
    if !text.contains('@') || text.contains(char::is_control) {
        return Err("must be an address like \"you@example.com\"".into());
    }
    Ok(text.to_owned())
}

fn word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err("must not be empty, and one line".into());
    }
    Ok(text.to_owned())
}
