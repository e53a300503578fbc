//! Telling somebody how long work ended: by mail, or by a command.
//!
//! Knows nothing of vaults: whoever did the work writes the [`Notice`]. The surprise:
//! whatever is wrong with the settings is found by [`Notifier::prepare`], before the
//! work begins, and not hours later.

mod command;
mod mail;

use std::str::FromStr;

use crate::config::MailSettings;

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// As `[notify]` in `keepfs.toml` says.
    Mail,
    /// A line for the shell, which gets the text on standard input.
    Command(String),
}

impl FromStr for Way {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("command:")) {
            ("mail", _) => Ok(Way::Mail),
            (_, Some(command)) if !command.trim().is_empty() => Ok(Way::Command(command.into())),
            _ => Err("write mail, or command: and a line for the shell"),
        }
    }
}

/// Whether the work went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It did.
    Done,
    /// It did not.
    Failed,
}

/// What somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether the work went through.
    pub ending: Ending,
    /// One line.
    pub subject: String,
    /// The whole.
    pub text: String,
}

/// Why nobody could be told. No variant has the password.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Mail is wanted, and nothing says how.
    #[error(
        "--notify mail: keepfs.toml has no [notify]: say there by which server, from whom and to whom"
    )]
    NoMailSettings,
    /// A login without a password.
    #[error(
        "notify.username in keepfs.toml, but no password: name a password_file there, or set KEEPFS_SMTP_PASSWORD"
    )]
    NoPassword,
    /// The file with the password cannot be read.
    #[error("notify.password_file {file}: {error}")]
    PasswordFile {
        /// As configured, absolute.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// An address that mail cannot be sent to or from.
    #[error("notify: '{address}' is no mail address: {problem}")]
    BadAddress {
        /// As configured.
        address: String,
        /// What the mail library says.
        problem: String,
    },
    /// The server was not reached, or refused.
    #[error("the mail was not sent: {server}: {problem}")]
    NotSent {
        /// Host and port.
        server: String,
        /// What the server or the network said.
        problem: String,
    },
    /// The command could not be run, or failed.
    #[error("the notification command failed: {problem}")]
    Command {
        /// Its exit status, or what the system said.
        problem: String,
    },
}

/// Where a mail's settings and its password come from.
#[derive(Clone, Default)]
pub struct MailSource {
    /// `[notify]`, with its paths absolute. `None`: there is none.
    pub settings: Option<MailSettings>,
    /// The password where it is not in a file.
    pub password: Option<String>,
}

/// Ready to tell.
pub struct Notifier {
    ready: Vec<Ready>,
}

enum Ready {
    Mail(Box<mail::Mailer>),
    Command(String),
}

impl Notifier {
    /// Checks that the ways can be gone, as far as that shows without going them.
    ///
    /// # Errors
    /// Whatever is wrong with the settings, or the file of the password.
    pub fn prepare(ways: &[Way], source: &MailSource) -> Result<Self, NotifyError> {
        let ready = ways
            .iter()
            .map(|way| match way {
                Way::Mail => Ok(Ready::Mail(Box::new(mail::Mailer::new(source)?))),
                Way::Command(line) => Ok(Ready::Command(line.clone())),
            })
            .collect::<Result<_, NotifyError>>()?;
        Ok(Self { ready })
    }

    /// Goes all the ways; returns those that led nowhere.
    pub fn tell(&self, notice: &Notice) -> Vec<NotifyError> {
        let told = self.ready.iter().map(|ready| match ready {
            Ready::Mail(mailer) => mailer.send(notice),
            Ready::Command(line) => command::run(line, notice),
        });
        told.filter_map(Result::err).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_mail_or_a_line_for_the_shell() {
        assert_eq!("mail".parse(), Ok(Way::Mail));
        let command = "command:logger -t backup".parse();
        assert_eq!(command, Ok(Way::Command("logger -t backup".into())));
        for text in ["", "mails", "command:", "command: ", "logger"] {
            assert!(text.parse::<Way>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_mail_is_said_before_anything_is_sent() {
        let settings = MailSettings {
            host: "127.0.0.1".into(),
            port: 25,
            security: crate::config::SmtpSecurity::Off,
            from: "keepfs@example.com".into(),
            to: vec!["you@example.com".into()],
            username: None,
            password_file: None,
        };
        let refused = |change: &dyn Fn(&mut MailSettings)| {
            let mut settings = settings.clone();
            change(&mut settings);
            let source = MailSource {
                settings: Some(settings),
                password: None,
            };
            match Notifier::prepare(&[Way::Mail], &source) {
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(refused(&|_| {}), "");
        let bad = refused(&|settings| settings.to.push("a b@c d".into()));
        assert!(bad.contains("'a b@c d' is no mail address"), "{bad}");
        let bare = refused(&|settings| settings.username = Some("me".into()));
        assert!(bare.contains("KEEPFS_SMTP_PASSWORD"), "{bare}");
        let gone = refused(&|settings| {
            settings.username = Some("me".into());
            settings.password_file = Some("/nowhere/at/all".into());
        });
        assert!(gone.contains("/nowhere/at/all: No such file"), "{gone}");
        let none = Notifier::prepare(&[Way::Mail], &MailSource::default());
        assert!(matches!(none.err(), Some(NotifyError::NoMailSettings)));
    }
}
