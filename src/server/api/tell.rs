//! Telling somebody how work ended: a call to an address, signed as the SDKs verify it, or a
//! mail.
//!
//! Whoever has a key may name the address, so it is a public one, like that of a fetched
//! upload, unless the owner named it in the settings. The surprise: the server has no secret
//! of a key that only logs in, so nothing can be signed for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::Api;
use super::error::{ApiError, Result};
use super::fetch::{Reach, check_address, client_for};
use super::parameters::Parameters;
use super::signature::hex;
use crate::notify::{Ending, MailSource, Notice, Notifier, NotifyError, Way};

/// How often a call that is not answered is made, and how long after the one before.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// Who hears of the end of some work.
#[derive(Debug, Clone)]
pub(super) struct Audience {
    email: Option<String>,
    notification_url: Option<String>,
    /// What is told to an address is signed with its secret.
    key: String,
}

impl Audience {
    pub(super) fn is_anybody(&self) -> bool {
        self.email.is_some() || self.notification_url.is_some()
    }
}

impl Api {
    /// Whom a call wants to be told, else whom the settings say. What can be known to go
    /// wrong is refused before the work is begun.
    pub(super) fn audience(&self, parameters: &Parameters, key: &str) -> Result<Audience> {
        let asked = parameters.text("notification_url");
        if let Some(url) = &asked {
            check_address(url)?;
            if self.keys.signing_secret(key).is_none() {
                return Err(ApiError::bad(
                    "Invalid notification_url: what is told is signed, and this api_key only logs in; make one that signs with keepfs api-key create",
                ));
            }
        }
        let email = parameters.text("email");
        if let Some(email) = &email {
            self.check_email(email)?;
        }
        Ok(Audience {
            email,
            notification_url: asked.or_else(|| self.settings.notification_url.clone()),
            key: key.to_owned(),
        })
    }

    fn check_email(&self, email: &str) -> Result<()> {
        match self.notifier(email) {
            Ok(_) => Ok(()),
            Err(NotifyError::NoMailSettings) => Err(ApiError::bad(
                "No mail can be sent: [notify] in keepfs.toml says no mail server",
            )),
            Err(NotifyError::BadAddress { address, problem }) if address == email => {
                Err(ApiError::Bad(format!("Invalid email {address}: {problem}")))
            }
            // It may name a file of this machine.
            Err(error) => {
                log::error!("{error}");
                Err(ApiError::bad(
                    "No mail can be sent: [notify] in keepfs.toml is not right; the server's log says why",
                ))
            }
        }
    }

    fn notifier(&self, email: &str) -> std::result::Result<Notifier, NotifyError> {
        let settings = self.vault.config().mail.clone().map(|mut settings| {
            settings.to = vec![email.to_owned()];
            settings
        });
        let source = MailSource {
            settings,
            password: std::env::var("KEEPFS_SMTP_PASSWORD").ok(),
        };
        Notifier::prepare(&[Way::Mail], &source)
    }

    /// Tells them on a thread of its own: the answer does not wait for their server.
    pub(super) fn tell_later(self: &Arc<Self>, audience: Audience, subject: String, body: Value) {
        let api = self.clone();
        let thread = std::thread::Builder::new().name("keepfs-tell".into());
        if let Err(error) = thread.spawn(move || api.tell(&audience, &subject, &body)) {
            log::error!("somebody is not told: {error}");
        }
    }

    /// Tells them. Whoever cannot be told is in the log.
    pub(super) fn tell(&self, audience: &Audience, subject: &str, body: &Value) {
        if let Some(email) = &audience.email {
            self.mail(email, subject, body);
        }
        if let Some(url) = &audience.notification_url {
            self.call(url, &audience.key, body);
        }
    }

    fn mail(&self, email: &str, subject: &str, body: &Value) {
        let is_good = body["status"] == "completed";
        let told = self.notifier(email).map(|notifier| {
            notifier.tell(&Notice {
                ending: if is_good {
                    Ending::Done
                } else {
                    Ending::Failed
                },
                subject: format!("keepfs {}: {subject}", self.cloud_name),
                text: format!("{subject}\n\n{body:#}\n"),
            })
        });
        match told {
            Ok(failures) => failures.iter().for_each(|error| log::error!("{error}")),
            Err(error) => log::error!("{error}"),
        }
    }

    fn call(&self, url: &str, key: &str, body: &Value) {
        let reach = match self.settings.notification_url.as_deref() == Some(url) {
            true => Reach::Everywhere,
            false => Reach::Public,
        };
        // Without a secret there is no signature: one with an empty secret anybody could make.
        let secret = self.keys.signing_secret(key);
        let text = body.to_string();
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            log::error!("{url} was not told: no runtime");
            return;
        };
        let told = runtime.block_on(async {
            for attempt in 0..ATTEMPTS {
                if attempt > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                let timestamp = self.vault.clock().now().parts().0.to_string();
                let sent = match client_for(url, reach).await {
                    Err(error) => return Err(error.message().to_owned()),
                    Ok((client, url)) => {
                        let mut call = client
                            .post(url)
                            .header("content-type", "application/json")
                            .body(text.clone())
                            .timeout(Duration::from_secs(20));
                        if let Some(secret) = &secret {
                            let signed = format!("{text}{timestamp}{secret}");
                            call = call
                                .header("x-cld-timestamp", timestamp)
                                .header("x-cld-signature", hex(&Sha1::digest(signed.as_bytes())));
                        }
                        call.send().await
                    }
                };
                match sent {
                    Ok(answer) if answer.status().is_success() => return Ok(()),
                    Ok(answer) if attempt + 1 == ATTEMPTS => {
                        return Err(format!("it answered {}", answer.status()));
                    }
                    Err(_) if attempt + 1 == ATTEMPTS => return Err("it does not answer".into()),
                    _ => {}
                }
            }
            Ok(())
        });
        if let Err(problem) = told {
            log::error!("{url} was not told: {problem}");
        }
    }
}
