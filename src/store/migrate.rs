//! Moves the store: every pack is copied to another place while this one is in use, and
//! then that one is used instead.
//!
//! Copying is `copy`, what the other place must be is `destination`. The surprise: rounds
//! of copying make the other place nearly equal with nobody waiting; only for the last few
//! packs are puts held back. Until `switch` has returned the old store is the store.

mod copy;
mod destination;
mod running;

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use super::backend::Backend;
use super::error::{Result, StoreError};
use super::membership::{self, Answer};
use super::{Damage, KEY_NAME, Shared, Store, bucket_rules, finish, journal, recover};
use crate::catalog::{Catalog, Durability, SharedCatalog, take_turn};
use crate::model::StorePlace;
use crate::model::failpoint::reach;

use copy::Copier;
use running::Running;

pub use copy::Copied;
pub use running::Migration;
pub(super) use running::Migrations;

/// A place that this vault's packs are being copied to, as a URL; with [`COPIED`] behind
/// it when nothing is left to copy.
const SETTING: &str = "store.migration";
const COPIED: &str = " copied";
/// Lies in a store as long as it is a copy in the making.
const MARK: &str = "migration.json";
/// So many rounds at most are made before puts are held back for the last one.
const ROUNDS_MAX: usize = 20;
/// So few packs are copied while puts are held back.
const LAST_PACKS_MAX: u64 = 4;

/// How a migration ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrated {
    /// The store is the new one.
    Moved(Copied),
    /// The store is the old one still: these packs of it are damaged.
    Damaged(Vec<Damage>),
}

/// Hears of (bytes that are there, bytes in all), several times a second; breaks when
/// nobody wants it any more.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

impl Shared {
    /// Where packs are now. What is read through it stays readable after a move.
    pub(super) fn backend(&self) -> Arc<Backend> {
        let backend = self.backend.read();
        backend.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store {
    /// Where packs are now.
    pub fn place(&self) -> StorePlace {
        self.shared.backend().place.clone()
    }

    /// The migration that runs, or that was not finished.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn migration(&self) -> Result<Option<Migration>> {
        if let Some(running) = self.shared.migrations.running() {
            return Ok(Some(running));
        }
        let unfinished = unfinished(&mut **self.shared.catalog()?)?;
        Ok(unfinished.map(|(to, _)| Migration { to, copied: None }))
    }

    /// Stops a migration that runs, and lets no other begin: the store is being closed.
    pub fn stop_migrations(&self) {
        self.shared.migrations.close();
    }

    /// Copies everything to another place and uses that from then on. `switch` makes
    /// durable that it is used; when it fails, nothing has changed. Called again after
    /// whatever went wrong, it goes on where it was. The old store is left as it is.
    ///
    /// # Errors
    /// `NotEmpty`, and as an open of that place when it cannot be used; `MigrationRuns`,
    /// `MigrationStopped`; `NotCopied` when reading or writing failed.
    pub fn migrate(
        &self,
        to: &StorePlace,
        switch: &dyn Fn() -> io::Result<()>,
        watch: Watch<'_>,
    ) -> Result<Migrated> {
        let ticket = self.shared.migrations.begin(to)?;
        let new = destination::prepare(&self.shared, to)?;
        reach("migrate.prepared");
        let outcome = self.copy_and_switch(new, ticket.running(), switch, watch);
        outcome.map_err(|error| match error {
            error @ (StoreError::MigrationStopped | StoreError::Catalog(_)) => error,
            error => StoreError::NotCopied {
                place: to.to_string(),
                error: Box::new(error),
            },
        })
    }

    fn copy_and_switch(
        &self,
        new: Backend,
        running: &Running,
        switch: &dyn Fn() -> io::Result<()>,
        watch: Watch<'_>,
    ) -> Result<Migrated> {
        let shared = &*self.shared;
        let mut copier = Copier::begin(shared, &new, running)?;
        for _ in 0..ROUNDS_MAX {
            if copier.round(watch)? <= LAST_PACKS_MAX && copier.is_listed()? {
                break;
            }
        }
        if copier.has_damage() {
            return Ok(Migrated::Damaged(copier.into_damages()));
        }
        reach("migrate.copied");

        let alone = self.alone();
        let is_stopping = || running.is_stopping();
        let hold = shared.waiting.hold(&is_stopping);
        let hold = hold.ok_or(StoreError::MigrationStopped)?;
        recover::adopt_marked(shared)?;
        // From here on nothing that is copied can be taken back by a crash.
        shared.catalog()?.commit(Durability::Power)?;
        finish::remove_marks(shared);
        copier.round(watch)?;
        copier.note_unadopted()?;
        if copier.has_damage() {
            return Ok(Migrated::Damaged(copier.into_damages()));
        }
        let copied = copier.into_copied();
        // From here on nothing is published in the old store.
        let mut published = journal::lock(shared);
        let switched = settle_in_new_store(shared, &new, &mut published).and_then(|()| {
            reach("migrate.settled");
            // It is no store of this vault before it can be rebuilt from it.
            let said = journal::begin_in(shared, &new)?;
            reach("migrate.published");
            switch().map_err(|error| StoreError::Io(error.to_string()))?;
            Ok(said)
        });
        // While puts are still held back.
        let said = switched.inspect_err(|_| note_unfinished(shared, &new))?;
        reach("migrate.switched");
        use_from_now_on(shared, new);
        if let Some(said) = said {
            published.end_with(shared, &said);
        }
        drop(published);
        drop(hold);
        drop(alone);
        forget_migration(&shared.catalog, &shared.backend());
        reach("migrate.forgotten");
        bucket_rules::look(shared);
        Ok(Migrated::Moved(copied))
    }
}

/// Makes the new store this vault's own, last thing before it is used: every pack is
/// there, puts are held back, and nobody rewrites packs. Must not fail half done in a way
/// that a second call would not mend. Joins the bucket; whatever else a store needs to be
/// used, but that is not copied, begins here.
fn settle_in_new_store(
    shared: &Shared,
    new: &Backend,
    published: &mut journal::Published,
) -> Result<()> {
    let old = shared.backend();
    destination::join(shared, new)?;
    // The vault's own, not what the old store says it is.
    if let Some(key) = &shared.config.key {
        new.put_object(KEY_NAME, key.document().to_bytes())?;
    }
    shared.lease.settle(new)?;
    let mut catalog = shared.catalog()?;
    // Whichever of the two the next start finds in the settings, its journal begins anew.
    published.begin_anew(&mut **catalog)?;
    // And either is known.
    membership::note_joined(&mut **catalog, &[&old.place, &new.place])?;
    let copied = format!("{}{COPIED}", new.place);
    catalog.set_setting(SETTING, Some(&copied))?;
    Ok(catalog.commit(Durability::Power)?)
}

/// Packs will be put into the old store again: what is copied is not all any more, and must
/// not be taken for the store by a start that finds it in the settings.
fn note_unfinished(shared: &Shared, new: &Backend) {
    let noted = shared.catalog().and_then(|mut catalog| {
        catalog.set_setting(SETTING, Some(&new.place.to_string()))?;
        Ok(catalog.commit(Durability::Power)?)
    });
    if let Err(error) = noted {
        // A row of a pack that is put later is not committed before this is.
        log::warn!(
            "{}: unfinished, which waits to be noted: {error}",
            new.place
        );
    }
}

fn use_from_now_on(shared: &Shared, new: Backend) {
    let (from, to) = (shared.backend(), Arc::new(new));
    let backend = shared.backend.write();
    *backend.unwrap_or_else(PoisonError::into_inner) = to.clone();
    shared.admission.is_given();
    // Whoever reads from the old store at this moment reads the same bytes.
    shared.sources.forget_all();
    log::warn!("the store was moved from {} to {}", from.place, to.place);
}

/// Where a migration was going to, and whether everything is there.
fn unfinished(catalog: &mut dyn Catalog) -> Result<Option<(String, bool)>> {
    let setting = catalog.setting(SETTING)?;
    Ok(setting.map(|text| match text.strip_suffix(COPIED) {
        Some(to) => (to.to_owned(), true),
        None => (text, false),
    }))
}

/// At the start: on which side of the switch did the last run end?
///
/// # Errors
/// When the store is a copy that was never finished: somebody wrote it into the settings.
pub(super) fn take_up(catalog: &SharedCatalog, backend: &Backend, answer: Answer) -> Result<()> {
    let place = backend.place.to_string();
    let mut locked = take_turn(catalog).unwrap_or_else(PoisonError::into_inner);
    let Some((to, is_copied)) = unfinished(&mut **locked)? else {
        return Ok(());
    };
    if to != place {
        // Packs are put into the old store again: what is copied is not all any more.
        return Ok(locked.set_setting(SETTING, Some(&to))?);
    }
    drop(locked);
    if !is_copied {
        return Err(StoreError::BadPlace {
            place,
            reason: "is a copy that keepfs store migrate did not finish: put the store line \
                     of keepfs.toml back as it was, mount, and run the command again"
                .into(),
        });
    }
    if answer == Answer::Welcome {
        forget_migration(catalog, backend);
    }
    Ok(())
}

/// The store is in use: it is no copy in the making any more. What fails is done again at
/// the next start.
fn forget_migration(catalog: &SharedCatalog, backend: &Backend) {
    let forgotten = backend.delete_object(MARK).and_then(|()| {
        let mut catalog = take_turn(catalog).unwrap_or_else(PoisonError::into_inner);
        membership::note_joined(&mut **catalog, &[&backend.place])?;
        catalog.set_setting(SETTING, None)?;
        Ok(catalog.commit(Durability::Power)?)
    });
    if let Err(error) = forgotten {
        log::warn!("{MARK} stays in the store until the next start: {error}");
    }
}
