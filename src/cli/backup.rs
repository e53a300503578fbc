//! `keepfs backup`: takes up files that were there before.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;

use super::Exit;
use super::access::settings_of;
use super::arguments::{InVault, Json};
use super::interrupt::said_at_the_end;
use super::notice::{Account, End};
use super::output::{Outcome, Stop, say, stop};
use super::place::{Home, place};
use super::walk::{Summary, report, walk, walk_watched};
use crate::model::{Clock, PublicId, SystemClock};
use crate::notify::{MailSource, Notifier, NotifyError, Way};
use crate::server::{ErrorCode, Request, WirePath};

/// Where the password of the mail server is, unless it is in a file.
const PASSWORD_VARIABLE: &str = "KEEPFS_SMTP_PASSWORD";

/// Back up the existing files that have no version yet
///
/// For a vault over a directory that already has files, and after backup was switched on.
/// Returns when everything is stored. Interrupted, it goes on where it was: what is kept
/// already is only looked at.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs backup ~/assets
  keepfs backup --vault /srv/vault photos
  keepfs backup --notify mail ~/assets
  keepfs backup --notify 'command:notify-send \"$KEEPFS_SUBJECT\"' ~/assets")]
pub struct Backup {
    /// A file, or a directory with all below it
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Say how it ended, well, badly or by a signal: by mail, or to a command; may be given twice
    ///
    /// Mail goes as [notify] in keepfs.toml says. A command gets the text on standard input,
    /// and KEEPFS_RESULT (done or failed) and KEEPFS_SUBJECT in its environment. Where that
    /// fails after a backup that went through, the exit code is 7.
    #[arg(long, value_name = "mail|command:LINE")]
    notify: Vec<Way>,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Backup {
    /// Backs up.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let request = Request::Backup {
            path: WirePath(place.id.clone()),
            is_watched: std::io::stderr().is_terminal(),
        };
        let format = self.json.format();
        if self.notify.is_empty() {
            return walk(&place.home, &request, format);
        }
        let (outcome, untold) = watched(&place.home, &place.id, &request, &self.notify)?;
        // What the backup came to goes first: whether somebody heard of it comes after.
        report(&outcome?, format)?;
        match untold.is_empty() {
            true => Ok(()),
            false => Err(Stop::Reported(Exit::Untold)),
        }
    }
}

/// Backs up and tells how that ended. Returns whom it could not tell, too.
fn watched(
    home: &Home,
    id: &PublicId,
    request: &Request,
    ways: &[Way],
) -> Result<(Result<Summary, Stop>, Vec<NotifyError>), Stop> {
    let config = settings_of(home)?;
    let source = MailSource {
        settings: config.mail.clone(),
        password: std::env::var(PASSWORD_VARIABLE).ok(),
    };
    let notifier = Notifier::prepare(ways, &source)
        .map_err(|error| stop(ErrorCode::BadInput, error.to_string()))?;
    let account = Mutex::new(Account::new(&config, id, SystemClock.now()));
    let account = || account.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = Instant::now();
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let tell = |end: End<'_>| {
        let notice = account().notice(end, clock.elapsed(), &host);
        let untold = notifier.tell(&notice);
        for error in &untold {
            say(error);
        }
        untold
    };
    said_at_the_end(
        || walk_watched(home, request, &mut |progress| account().watch(progress)),
        |outcome| tell(End::of(outcome)),
        || drop(tell(End::Interrupted)),
    )
    .map_err(|error| stop(ErrorCode::Failed, format!("catching signals: {error}")))
}
