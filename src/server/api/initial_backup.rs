//! One-time backups of what is there already: started here, followed while they run.
//!
//! One at a time. The surprise: what they were is kept in the catalog, so that a list of
//! them outlives the server; one that the end of the server broke off counts as failed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use super::asset::shown;
use super::error::{ApiError, Result};
use super::keys::random;
use super::parameters::Parameters;
use super::signature::hex;
use super::tell::Audience;
use crate::model::{Override, PublicId};
use crate::vault::{Survey, Vault};

/// Where the list is kept.
const SETTING: &str = "api.initial_backups";
/// The latest ones that are listed.
const KEPT_MAX: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Active,
    Completed,
    Failed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    id: String,
    status: State,
    created_at: String,
    #[serde(default)]
    completion_time: Option<String>,
    #[serde(default)]
    files: u64,
    #[serde(default)]
    reason: Option<String>,
}

/// The runs of this vault, oldest first.
#[derive(Debug)]
pub(super) struct InitialBackups {
    runs: Mutex<Vec<Run>>,
    /// Files that the active one has seen.
    files: AtomicU64,
}

impl InitialBackups {
    /// Those that were, as the catalog has them.
    pub(super) fn of(vault: &Vault) -> Self {
        let text = vault.setting(SETTING).ok().flatten().unwrap_or_default();
        let mut runs: Vec<Run> = serde_json::from_str(&text).unwrap_or_default();
        for run in &mut runs {
            if run.status == State::Active {
                run.status = State::Failed;
                run.reason = Some("the server ended; start it again to go on".into());
            }
        }
        Self {
            runs: Mutex::new(runs),
            files: AtomicU64::new(0),
        }
    }

    fn change(&self, vault: &Vault, change: impl FnOnce(&mut Vec<Run>)) -> Result<()> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut runs);
        let surplus = runs.len().saturating_sub(KEPT_MAX);
        runs.drain(..surplus);
        let text = serde_json::to_string(&*runs).map_err(|_| ApiError::Internal)?;
        Ok(vault.set_setting(SETTING, &text)?)
    }
}

impl Api {
    /// Starts one.
    pub(super) fn start_initial_backup(
        self: &Arc<Self>,
        parameters: &Parameters,
        key: &str,
    ) -> Result<Value> {
        if self.vault.backup_switch() == Override::Off {
            return Err(ApiError::bad(
                "Backup for new uploads isn't enabled. Turn it on before starting an initial backup of existing assets.",
            ));
        }
        let audience = self.audience(parameters, key)?;
        let id = hex(&random::<16>().map_err(|_| ApiError::Internal)?);
        let created_at = shown(self.vault.clock().now());
        let mut is_busy = false;
        self.backups.change(&self.vault, |runs| {
            is_busy = runs.iter().any(|run| run.status == State::Active);
            if !is_busy {
                runs.push(Run {
                    id: id.clone(),
                    status: State::Active,
                    created_at,
                    completion_time: None,
                    files: 0,
                    reason: None,
                });
            }
        })?;
        if is_busy {
            return Err(ApiError::bad("An initial backup is already running"));
        }
        self.backups.files.store(0, Ordering::SeqCst);
        let api = self.clone();
        let (run, audience) = (id.clone(), audience);
        let thread = std::thread::Builder::new().name("keepfs-initial".into());
        let started = thread.spawn(move || api.run_initial_backup(&run, &audience));
        let started = started.map_err(|_| ApiError::Internal)?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(json!({ "ok": true, "id": id }))
    }

    fn run_initial_backup(&self, id: &str, audience: &Audience) {
        let scanned = self
            .vault
            .scan(&PublicId::root(), Survey::Backup, &mut |progress| {
                let files = progress.seen.files;
                self.backups.files.store(files, Ordering::SeqCst);
            });
        let now = shown(self.vault.clock().now());
        let (status, files, reason) = match &scanned {
            Ok(report) if report.unreadable == 0 => (State::Completed, report.files, None),
            Ok(report) => {
                let reason = format!("{} files could not be read", report.unreadable);
                (State::Failed, report.files, Some(reason))
            }
            Err(error) => {
                log::error!("initial backup: {error}");
                let files = self.backups.files.load(Ordering::SeqCst);
                (
                    State::Failed,
                    files,
                    Some("the server's log says why".into()),
                )
            }
        };
        let noted = self.backups.change(&self.vault, |runs| {
            for run in runs.iter_mut().filter(|run| run.id == id) {
                run.status = status;
                run.files = files;
                run.completion_time = Some(now.clone());
                run.reason.clone_from(&reason);
            }
        });
        if noted.is_err() {
            log::error!("initial backup {id}: its end could not be recorded");
        }
        let word = match status {
            State::Completed => "completed",
            State::Active | State::Failed => "failed",
        };
        let text = format!("initial backup {word}: {files} files");
        self.tell(
            audience,
            &text,
            &json!({
                "notification_type": "initial_backup",
                "id": id,
                "status": word,
                "processed_assets_count": files,
                "reason": reason,
                "timestamp": now,
            }),
        );
    }

    /// The latest ones, newest first.
    pub(super) fn initial_backups(&self, parameters: &Parameters) -> Result<Value> {
        let most = parameters.number("max_results", 500)?.unwrap_or(10).max(1);
        let skipped = match parameters.text("next_cursor") {
            None => 0,
            Some(cursor) => cursor
                .parse::<usize>()
                .map_err(|_| ApiError::bad("Invalid value for parameter next_cursor"))?,
        };
        let runs = self
            .backups
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let page = runs.iter().rev().skip(skipped).take(most);
        let rows: Vec<Value> = page
            .map(|run| json!({ "id": run.id, "status": run.status, "created_at": run.created_at }))
            .collect();
        let next = skipped + rows.len();
        let mut answer = json!({ "initial_backups": rows });
        if next < runs.len() {
            answer["next_cursor"] = json!(next.to_string());
        }
        Ok(answer)
    }

    /// One of them.
    pub(super) fn initial_backup(&self, id: &str) -> Result<Value> {
        let runs = self
            .backups
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let run = runs.iter().find(|run| run.id == id);
        let run = run.ok_or_else(|| ApiError::NotFound("Operation does not exist".into()))?;
        let files = match run.status {
            State::Active => self.backups.files.load(Ordering::SeqCst),
            State::Completed | State::Failed => run.files,
        };
        let mut answer = json!({
            "status": run.status,
            "start_time": run.created_at,
            "completion_time": run.completion_time,
            "processed_assets_count": files,
        });
        if let Some(reason) = &run.reason {
            answer["reason"] = json!(reason);
        }
        Ok(answer)
    }
}
