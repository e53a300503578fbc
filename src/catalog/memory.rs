//! The catalog in memory, for tests of the rules: obviously right, not fast.
//!
//! Plain collections; every sum and every "has something below" is counted when it
//! is asked for. A savepoint is a copy of everything. Nothing reaches a disk, so a
//! commit only checks that it was allowed.

mod contents;
mod facade;
mod labels;
mod namespace;
mod space;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use super::{CatalogError, ChunkRecord, NodeKind, PackRecord, Result, Standing};
use crate::model::{
    AssetId, Attributes, ChunkHash, ContentId, FileFacts, Labels, Name, NodeId, Override, ROOT,
    Timestamp, Version, VersionSeq,
};

/// A catalog that ends with the process.
#[derive(Debug, Clone)]
pub struct MemoryCatalog {
    facts: Facts,
    savepoints: Vec<Facts>,
}

#[derive(Debug, Clone)]
struct Facts {
    changed: bool,
    clock: Timestamp,
    settings: BTreeMap<String, String>,
    last_node: i64,
    entries: Vec<Entry>,
    directories: BTreeMap<NodeId, Directory>,
    assets: BTreeMap<NodeId, Asset>,
    last_seq: i64,
    versions: BTreeMap<VersionSeq, Version>,
    holds: BTreeSet<VersionSeq>,
    labels: BTreeMap<NodeId, Labels>,
    last_content: i64,
    contents: BTreeMap<ContentId, Content>,
    chunks: BTreeMap<ChunkHash, ChunkRecord>,
    packs: Vec<PackRecord>,
}

/// An interval of the temporal table; without an end while it is so.
#[derive(Debug, Clone)]
struct Entry {
    parent: NodeId,
    name: Name,
    node: NodeId,
    kind: NodeKind,
    standing: Standing,
    since: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Directory {
    attributes: Attributes,
    backup: Option<Override>,
}

#[derive(Debug, Clone)]
struct Asset {
    asset_id: AssetId,
    file: Option<FileFacts>,
    last_attributes: Option<Attributes>,
}

#[derive(Debug, Clone)]
struct Content {
    blake3: ChunkHash,
    size: u64,
    chunks: Vec<ChunkHash>,
}

impl MemoryCatalog {
    /// An empty catalog, with its root.
    pub fn new() -> Self {
        let root = Directory {
            attributes: Attributes {
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: Timestamp::from_nanos(0),
            },
            backup: None,
        };
        Self {
            facts: Facts {
                changed: false,
                clock: Timestamp::from_nanos(i64::MIN),
                settings: BTreeMap::new(),
                last_node: ROOT.0,
                entries: Vec::new(),
                directories: BTreeMap::from([(ROOT, root)]),
                assets: BTreeMap::new(),
                last_seq: 0,
                versions: BTreeMap::new(),
                holds: BTreeSet::new(),
                labels: BTreeMap::new(),
                last_content: 0,
                contents: BTreeMap::new(),
                chunks: BTreeMap::new(),
                packs: Vec::new(),
            },
            savepoints: Vec::new(),
        }
    }

    fn change(&mut self) -> &mut Facts {
        self.facts.changed = true;
        &mut self.facts
    }

    fn commit_all(&mut self) -> Result<()> {
        if !self.savepoints.is_empty() {
            return invariant("commit with a savepoint open");
        }
        self.facts.changed = false;
        Ok(())
    }

    /// How everything was when the innermost savepoint began.
    fn end_savepoint(&mut self) -> Result<Facts> {
        match self.savepoints.pop() {
            Some(facts) => Ok(facts),
            None => invariant("the end of a savepoint without its beginning"),
        }
    }
}

impl Facts {
    fn set_setting(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.settings.insert(key.into(), value.into()),
            None => self.settings.remove(key),
        };
    }
}

impl Default for MemoryCatalog {
    fn default() -> Self {
        Self::new()
    }
}

fn invariant<T>(detail: impl Into<String>) -> Result<T> {
    Err(CatalogError::Invariant(detail.into()))
}
