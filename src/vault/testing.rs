//! A vault in a temporary directory, and the mount's part of the game played by hand:
//! open, write, close, rename, unlink, each with the calls that the mount makes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::Standing;
use crate::catalog::sqlite::SqliteCatalog;
use crate::config::{Config, InitOptions};
use crate::model::{ManualClock, PublicId, Version, VersionId, VersionSeq, VersionState};

use super::live::{Found, facts_of};
use super::{Party, Remedy, Rename, RenameMode, Result, Vault, WriteIntent};
use crate::store::{CheckDepth, VaultKey};

/// A vault and the directory it lives in.
pub(crate) struct TestVault {
    pub vault: Vault,
    pub clock: Arc<ManualClock>,
    pub directory: tempfile::TempDir,
}

/// A path in the vault.
pub(crate) fn id(text: &str) -> PublicId {
    PublicId::new(text.as_bytes()).unwrap()
}

impl TestVault {
    pub fn new() -> Self {
        Self::with(&InitOptions::default())
    }

    pub fn with(options: &InitOptions) -> Self {
        Self::create(options, |_| {}, None)
    }

    /// With settings that the defaults are changed to.
    pub fn with_settings(change: impl FnOnce(&mut Config)) -> Self {
        Self::create(&InitOptions::default(), change, None)
    }

    pub fn encrypted(key: VaultKey) -> Self {
        Self::create(&InitOptions::default(), |_| {}, Some(key))
    }

    fn create(
        options: &InitOptions,
        change: impl FnOnce(&mut Config),
        key: Option<VaultKey>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::create(&directory.path().join("vault"), options).unwrap();
        change(&mut config);
        fs::create_dir_all(&config.live_dir).unwrap();
        let clock = Arc::new(ManualClock::at_seconds(1_900_000_000));
        Self {
            vault: open(config, &clock, key),
            clock,
            directory,
        }
    }

    /// As after kill -9: what was not committed is gone, and the vault is opened anew.
    pub fn crash(self) -> Self {
        let mut config = self.vault.config().clone();
        // The forgotten catalog keeps its locks while this process lives: go on with a
        // copy of what a kill would have left on disk.
        let mut copy = config.catalog_path.clone().into_os_string();
        copy.push(".left");
        for suffix in ["", "-wal"] {
            let name = |path: &std::ffi::OsStr| {
                let mut name = path.to_os_string();
                name.push(suffix);
                name
            };
            let _ = fs::copy(name(config.catalog_path.as_os_str()), name(&copy));
        }
        config.catalog_path = copy.into();
        std::mem::forget(self.vault);
        Self {
            vault: open(config, &self.clock, None),
            clock: self.clock,
            directory: self.directory,
        }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.vault.config().live_dir.join(path)
    }

    fn tick(&self) {
        self.clock.advance(std::time::Duration::from_millis(50));
    }

    /// Opens for writing as the mount does.
    pub fn open(&self, path: &str, options: &OpenOptions, intent: WriteIntent) -> Result<File> {
        self.tick();
        let target = self.path(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).unwrap();
        }
        if let Ok(file) = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&target)
        {
            let facts = facts_of(file.as_fd()).unwrap();
            self.vault.before_write(facts.inode, file.as_fd(), intent)?;
        }
        let file = options.open(&target).unwrap();
        let facts = facts_of(file.as_fd()).unwrap();
        self.vault
            .before_write(facts.inode, file.as_fd(), WriteIntent::Append)?;
        Ok(file)
    }

    pub fn close(&self, path: &str, file: &File) -> Result<Option<VersionId>> {
        self.vault.closed(Some(&id(path)), file.as_fd())
    }

    /// `cat > path`.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Option<VersionId> {
        self.try_write(path, bytes).unwrap()
    }

    pub fn try_write(&self, path: &str, bytes: &[u8]) -> Result<Option<VersionId>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut file = self.open(path, &options, WriteIntent::Change)?;
        file.write_all(bytes).unwrap();
        self.close(path, &file)
    }

    /// `cat >> path`.
    pub fn append(&self, path: &str, bytes: &[u8]) -> Option<VersionId> {
        let mut options = OpenOptions::new();
        options.append(true);
        let mut file = self.open(path, &options, WriteIntent::Append).unwrap();
        file.write_all(bytes).unwrap();
        self.close(path, &file).unwrap()
    }

    pub fn remove(&self, path: &str) {
        self.tick();
        let file = File::open(self.path(path)).unwrap();
        let facts = facts_of(file.as_fd()).unwrap();
        let target = self.path(path);
        self.vault
            .remove(&id(path), &facts, &mut || fs::remove_file(&target))
            .unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.rename_with(from, to, RenameMode::Replace)
    }

    pub fn rename_with(&self, from: &str, to: &str, mode: RenameMode) -> Result<()> {
        self.tick();
        let (from_path, to_path) = (self.path(from), self.path(to));
        if let Some(parent) = to_path.parent() {
            fs::create_dir_all(parent).unwrap();
        }
        let flags = match mode {
            RenameMode::Replace => rustix::fs::RenameFlags::empty(),
            RenameMode::NoReplace => rustix::fs::RenameFlags::NOREPLACE,
            RenameMode::Exchange => rustix::fs::RenameFlags::EXCHANGE,
        };
        self.vault.rename(
            &Rename {
                from: &id(from),
                source: self.party(from),
                to: &id(to),
                target: self.party(to),
                mode,
            },
            &mut || {
                let cwd = rustix::fs::CWD;
                Ok(rustix::fs::renameat_with(
                    cwd, &from_path, cwd, &to_path, flags,
                )?)
            },
        )
    }

    pub fn party(&self, path: &str) -> Party {
        match self.vault.live().find(&id(path)).unwrap() {
            None => Party::Nothing,
            Some(Found::File(facts)) => Party::File(facts),
            Some(Found::Directory(_)) => Party::Directory,
            Some(Found::Special) => Party::Special,
        }
    }

    pub fn link(&self, from: &str, to: &str) -> Result<()> {
        self.tick();
        let Party::File(facts) = self.party(from) else {
            panic!("{from} is no file");
        };
        let (from_path, to_path) = (self.path(from), self.path(to));
        self.vault.link(Some(&id(from)), &id(to), &facts, &mut || {
            fs::hard_link(&from_path, &to_path)
        })
    }

    /// Ingests everything that waits.
    pub fn ingest_all(&self) {
        loop {
            let page = self
                .vault
                .catalog()
                .sealed_versions(VersionSeq(0), 100)
                .unwrap();
            if page.is_empty() {
                return;
            }
            for version in page {
                self.vault.ingest_now(version.seq).unwrap();
            }
        }
    }

    /// The contents of an asset's versions, oldest first, as history shows them.
    /// Empty when there is no such asset.
    pub fn versions(&self, path: &str) -> Vec<String> {
        match self.vault.versions_of(&id(path)) {
            Ok(versions) => versions.iter().map(|version| self.read(version)).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The bytes of a version, wherever they are.
    fn read(&self, version: &Version) -> String {
        let mut bytes = vec![0; version.size as usize];
        let count = match version.state {
            VersionState::Stored { content, .. } => {
                let reader = self.vault.store().reader(content).unwrap();
                reader.read_at(0, &mut bytes).unwrap()
            }
            VersionState::Sealed { .. } => {
                let (mut file, _) = self.vault.open_sealed(version).unwrap().unwrap();
                file.read_exact(&mut bytes).unwrap();
                bytes.len()
            }
        };
        assert_eq!(count as u64, version.size);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The paths of all deleted assets, sorted.
    pub fn deleted(&self) -> Vec<String> {
        self.assets(Standing::Deleted)
    }

    /// The paths of all live assets, sorted.
    pub fn live_assets(&self) -> Vec<String> {
        self.assets(Standing::Live)
    }

    fn assets(&self, wanted: Standing) -> Vec<String> {
        let mut found = Vec::new();
        self.vault
            .for_each_asset(&PublicId::root(), &mut |path, _, standing| {
                if standing == wanted {
                    found.push(String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned());
                }
                Ok(())
            })
            .unwrap();
        found.sort();
        found
    }

    /// The live content of a path. `None`: no file.
    pub fn live(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// Nothing is damaged, and every sealed version has its bytes.
    pub fn assert_sound(&self) {
        let report = self
            .vault
            .check(CheckDepth::ReadData, Remedy::Report, &mut |_, _| {})
            .unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

fn open(config: Config, clock: &Arc<ManualClock>, key: Option<VaultKey>) -> Vault {
    let catalog = SqliteCatalog::open(&config.catalog_path).unwrap();
    Vault::open(config, Box::new(catalog), clock.clone(), key).unwrap()
}
