//! A notice as a mail: the one place that names lettre.
//!
//! The surprise: nothing is sent unless the connection is as safe as the settings want
//! it. A server that cannot do TLS is refused, not spoken to in the clear.

use std::fs;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{SmtpTransport, Transport};

use super::{MailSource, Notice, NotifyError};
use crate::config::{MailSettings, SmtpSecurity};

/// For each answer of the server.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Ready to send.
pub(super) struct Mailer {
    transport: SmtpTransport,
    from: Mailbox,
    to: Vec<Mailbox>,
    server: String,
}

impl Mailer {
    /// Everything that can be checked without the server.
    pub(super) fn new(source: &MailSource) -> Result<Self, NotifyError> {
        let settings = source
            .settings
            .as_ref()
            .ok_or(NotifyError::NoMailSettings)?;
        let server = format!("{}:{}", settings.host, settings.port);
        let transport = match settings.security {
            SmtpSecurity::Tls => SmtpTransport::relay(&settings.host),
            SmtpSecurity::StartTls => SmtpTransport::starttls_relay(&settings.host),
            SmtpSecurity::Off => Ok(SmtpTransport::builder_dangerous(&settings.host)),
        };
        let mut transport = transport
            .map_err(|error| NotifyError::NotSent {
                server: server.clone(),
                problem: error.to_string(),
            })?
            .port(settings.port)
            .timeout(Some(TIMEOUT));
        if let Some(username) = &settings.username {
            let password = password(settings, source)?;
            transport = transport.credentials(Credentials::new(username.clone(), password));
        }
        let to = settings.to.iter().map(|address| mailbox(address));
        Ok(Self {
            transport: transport.build(),
            from: mailbox(&settings.from)?,
            to: to.collect::<Result<_, _>>()?,
            server,
        })
    }

    /// Sends.
    pub(super) fn send(&self, notice: &Notice) -> Result<(), NotifyError> {
        let not_sent = |problem: String| NotifyError::NotSent {
            server: self.server.clone(),
            problem,
        };
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(&notice.subject)
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        // So that no answering machine answers.
        if let Ok(name) = HeaderName::new_from_ascii("Auto-Submitted".into()) {
            message = message.raw_header(HeaderValue::new(name, "auto-generated".into()));
        }
        let message = message
            .body(notice.text.clone())
            .map_err(|error| not_sent(error.to_string()))?;
        match self.transport.send(&message) {
            Ok(_) => Ok(()),
            Err(error) => Err(not_sent(error.to_string())),
        }
    }
}

fn mailbox(address: &str) -> Result<Mailbox, NotifyError> {
    address.parse().map_err(
        |error: lettre::address::AddressError| NotifyError::BadAddress {
            address: address.into(),
            problem: error.to_string(),
        },
    )
}

/// The environment's, else the first line of the file.
fn password(settings: &MailSettings, source: &MailSource) -> Result<String, NotifyError> {
    if let Some(password) = &source.password {
        return Ok(password.clone());
    }
    let file = settings
        .password_file
        .as_ref()
        .ok_or(NotifyError::NoPassword)?;
    let text = fs::read_to_string(file).map_err(|error| NotifyError::PasswordFile {
        file: file.display().to_string(),
        error,
    })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(NotifyError::NoPassword),
    }
}
