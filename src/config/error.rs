//! Why a vault's settings or places cannot be used: one line each, with the way out.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::ShellWord;

/// A situation the caller can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No settings file.
    #[error(
        "no keepfs.toml in {dir}: is it a vault? keepfs init {word} makes one",
        dir = .directory.display(), word = ShellWord(.directory.display())
    )]
    NoVault {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// `init` where a vault is.
    #[error(
        "{dir} is a vault already: mount it, or give init another directory",
        dir = .directory.display()
    )]
    VaultExists {
        /// The vault.
        directory: PathBuf,
    },
    /// Bytes that are no text.
    #[error("{file}: not UTF-8 text: put it back from a copy, or write it anew", file = .file.display())]
    NotText {
        /// The settings file.
        file: PathBuf,
    },
    /// Text that is no TOML.
    #[error("{file} line {line}: {problem}: correct the line, it must be TOML", file = .file.display())]
    Syntax {
        /// The settings file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A higher `format` than this keepfs knows.
    #[error(
        "{file} line {line}: format = {format} was written by a newer keepfs, this one knows format 1: upgrade",
        file = .file.display()
    )]
    NewerFormat {
        /// The settings file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// As written.
        format: i64,
    },
    /// A key that is no setting.
    #[error("{file} line {line}: unknown key '{key}': correct or remove it; there are {known}", file = .file.display())]
    UnknownKey {
        /// The settings file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// As written.
        key: String,
        /// The keys there are.
        known: String,
    },
    /// A value that its key cannot have.
    #[error("{file} line {line}: {key}: {problem}", file = .file.display())]
    BadValue {
        /// The settings file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong with it and what it can be.
        problem: String,
    },
    /// A flag's value out of range.
    #[error("{key}: {problem}")]
    BadFlag {
        /// The setting that the flag stands for.
        key: &'static str,
        /// What is wrong with it and what it can be.
        problem: String,
    },
    /// The mount would show itself.
    #[error(
        "{mountpoint} is inside the live tree {live}: mount somewhere else",
        mountpoint = .mountpoint.display(), live = .live.display()
    )]
    MountInsideLive {
        /// Where to mount.
        mountpoint: PathBuf,
        /// The live tree.
        live: PathBuf,
    },
    /// The mount would hide a directory of the vault.
    #[error(
        "{mountpoint} is inside the vault's {part}: mount somewhere else",
        mountpoint = .mountpoint.display()
    )]
    MountInsidePart {
        /// Where to mount.
        mountpoint: PathBuf,
        /// `store`, `spool` or `cache`.
        part: &'static str,
    },
    /// The mount would hide the tree that it shows.
    #[error(
        "the live tree {live} is inside the mountpoint {mountpoint}: mount somewhere else",
        mountpoint = .mountpoint.display(), live = .live.display()
    )]
    LiveInsideMount {
        /// The live tree.
        live: PathBuf,
        /// Where to mount.
        mountpoint: PathBuf,
    },
    /// The mount would hide its own vault.
    #[error(
        "the vault {vault} is inside its own mountpoint {mountpoint}: mount somewhere else",
        mountpoint = .mountpoint.display(), vault = .vault.display()
    )]
    VaultInsideMount {
        /// The vault.
        vault: PathBuf,
        /// Where to mount.
        mountpoint: PathBuf,
    },
    /// The mount would hide the store.
    #[error(
        "the store {store} is inside the mountpoint {mountpoint}: mount somewhere else, or set store in keepfs.toml",
        mountpoint = .mountpoint.display(), store = .store.display()
    )]
    StoreInsideMount {
        /// The store.
        store: PathBuf,
        /// Where to mount.
        mountpoint: PathBuf,
    },
    /// Users of the mount could remove packs.
    #[error(
        "the store {store} is inside the live tree {live}: set store in keepfs.toml to a directory outside it",
        store = .store.display(), live = .live.display()
    )]
    StoreInsideLive {
        /// The store.
        store: PathBuf,
        /// The live tree.
        live: PathBuf,
    },
    /// Users of the mount could reach the catalog.
    #[error(
        "the vault {vault} is inside its live tree {live}: keep the vault outside, or set live in keepfs.toml to a directory below",
        vault = .vault.display(), live = .live.display()
    )]
    VaultInsideLive {
        /// The vault.
        vault: PathBuf,
        /// The live tree.
        live: PathBuf,
    },
    /// Users of the mount could reach sealed bytes.
    #[error(
        "the vault's {part} {path} is inside the live tree {live}: set live in keepfs.toml to another directory",
        path = .path.display(), live = .live.display()
    )]
    SpoolInsideLive {
        /// `spool` or `cache`.
        part: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The live tree.
        live: PathBuf,
    },
    /// User files and keepfs's own would mix.
    #[error(
        "the live tree {live} is inside the vault's {part} {path}: set live in keepfs.toml to another directory",
        path = .path.display(), live = .live.display()
    )]
    LiveInsidePart {
        /// The live tree.
        live: PathBuf,
        /// `store`, `spool` or `cache`.
        part: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// A user file has a history name.
    #[error(
        "{live} holds '{name}', the name under which the mount shows history: rename it first",
        live = .live.display()
    )]
    HistoryNameTaken {
        /// The live tree.
        live: PathBuf,
        /// The name.
        name: &'static str,
    },
    /// The live tree is something else.
    #[error("the live tree {live} is not a directory: set live in keepfs.toml to one", live = .live.display())]
    LiveNotDirectory {
        /// What should be the live tree.
        live: PathBuf,
    },
    /// The filesystem answered with an error.
    #[error("{doing} {path}: {error}", path = .path.display())]
    Io {
        /// `reading`, `writing`, …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The answer.
        error: io::Error,
    },
}

impl ConfigError {
    pub(super) fn io(doing: &'static str, path: &Path, error: io::Error) -> Self {
        ConfigError::Io {
            doing,
            path: path.to_owned(),
            error,
        }
    }
}
