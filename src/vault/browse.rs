//! Walking through everything that has a name, for those who search: assets, live or
//! deleted, and live files that are not backed up.
//!
//! The catalog is locked for a page at a time. The surprise: files without a version are
//! found by reading the live directories, so a walk that wants only deleted assets is
//! cheaper than one that wants what is there.

use std::collections::{BTreeMap, HashSet};

use rustix::fs::{AtFlags, FileType};

use crate::catalog::{Child, Sighting, Standing};
use crate::model::{FileFacts, HISTORY_NAMES, Name, NodeId, PublicId};
use crate::policy::transient_rule;

use super::live::{self, Found};
use super::rename_directory::all_children;
use super::{Result, Vault, VaultError};

/// Assets that are read under one lock.
const PAGE: usize = 1000;

/// Which part of a vault is walked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// What the path must begin with, in bytes.
    pub prefix: Vec<u8>,
    /// Whether that holds for letters of the other case, too.
    pub case: Case,
    /// What counts.
    pub standing: Standings,
    /// Whether directories below that of the prefix count.
    pub depth: Depth,
}

/// How the beginning of a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Byte by byte.
    Exact,
    /// Letters of ASCII are the same in both cases.
    Ignored,
}

/// What of a vault counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standings {
    /// Files that are there.
    Live,
    /// Deleted assets.
    Deleted,
    /// All of it.
    Both,
}

/// How deep a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only what is directly in the directory that the prefix names.
    One,
    /// All that is below.
    All,
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browsed {
    /// Where it is, or was.
    pub id: PublicId,
    /// What the catalog knows. `None`: it is not backed up.
    pub asset: Option<Sighting>,
    /// The file of something that is not backed up.
    pub file: Option<FileFacts>,
}

impl Range {
    /// Everything below a directory, the root included.
    pub fn below(directory: &PublicId, standing: Standings, depth: Depth) -> Self {
        let mut prefix = directory.as_bytes().to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        Self {
            prefix,
            case: Case::Exact,
            standing,
            depth,
        }
    }

    fn begins(&self, longer: &[u8], beginning: &[u8]) -> bool {
        let Some(start) = longer.get(..beginning.len()) else {
            return false;
        };
        match self.case {
            Case::Exact => start == beginning,
            Case::Ignored => start.eq_ignore_ascii_case(beginning),
        }
    }

    fn has(&self, id: &PublicId) -> bool {
        self.begins(id.as_bytes(), &self.prefix)
    }

    /// Whether something in or below a directory can be in the range.
    fn reaches(&self, directory: &PublicId) -> bool {
        let mut inside = directory.as_bytes().to_vec();
        if !inside.is_empty() {
            inside.push(b'/');
        }
        let is_above = self.begins(&self.prefix, &inside);
        let is_below = self.begins(&inside, &self.prefix);
        match self.depth {
            Depth::All => is_above || is_below,
            Depth::One => is_above,
        }
    }

    /// The least name in a directory that can be in the range.
    fn first_name(&self, directory: &PublicId) -> Vec<u8> {
        let skip = match directory.as_bytes().len() {
            0 => 0,
            length => length + 1,
        };
        let rest = self.prefix.get(skip..).unwrap_or_default();
        let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
        match self.case {
            Case::Exact => name.to_vec(),
            Case::Ignored => Vec::new(),
        }
    }
}

impl Vault {
    /// Calls `visit` for everything in a range, directory by directory.
    ///
    /// # Errors
    /// What `visit`, the catalog or the live tree failed with.
    pub fn browse(
        &self,
        range: &Range,
        visit: &mut dyn FnMut(Browsed) -> Result<()>,
    ) -> Result<()> {
        let mut waiting = vec![(PublicId::root(), Some(crate::model::ROOT))];
        while let Some((path, node)) = waiting.pop() {
            let mut below: BTreeMap<Name, Option<NodeId>> = BTreeMap::new();
            let mut known = HashSet::new();
            if let Some(node) = node {
                self.known_directories(range, node, &mut below)?;
                self.sighted(range, &path, node, &mut known, visit)?;
            }
            if range.standing != Standings::Deleted {
                self.unknown_files(range, &path, &known, &mut below, visit)?;
            }
            let below = below.into_iter().rev();
            let below = below.map(|(name, node)| (path.join(&name), node));
            waiting.extend(below.filter(|(path, _)| range.reaches(path)));
        }
        Ok(())
    }

    fn known_directories(
        &self,
        range: &Range,
        node: NodeId,
        below: &mut BTreeMap<Name, Option<NodeId>>,
    ) -> Result<()> {
        // Listed by name and kind, directories among the assets; in most vaults few are.
        let children = all_children(self.catalog().as_mut(), node)?;
        for child in children {
            if let Child::Directory {
                name,
                node,
                has_deleted,
                ..
            } = child
                && (has_deleted || range.standing != Standings::Deleted)
            {
                below.insert(name, Some(node));
            }
        }
        Ok(())
    }

    /// Visits the assets of a directory. `known` gets the names of live ones.
    fn sighted(
        &self,
        range: &Range,
        path: &PublicId,
        node: NodeId,
        known: &mut HashSet<Name>,
        visit: &mut dyn FnMut(Browsed) -> Result<()>,
    ) -> Result<()> {
        let mut from = range.first_name(path);
        loop {
            let page = self.catalog().sightings(node, &from, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            let is_last = page.len() < PAGE;
            from = last.name.as_bytes().to_vec();
            // The least name after it.
            from.push(0);
            for sighting in page {
                let id = path.join(&sighting.name);
                if !range.has(&id) {
                    if range.case == Case::Exact && id.as_bytes() > range.prefix.as_slice() {
                        return Ok(());
                    }
                    continue;
                }
                let is_wanted = match range.standing {
                    Standings::Both => true,
                    Standings::Live => sighting.standing == Standing::Live,
                    Standings::Deleted => sighting.standing == Standing::Deleted,
                };
                if sighting.standing == Standing::Live {
                    known.insert(sighting.name.clone());
                }
                if is_wanted {
                    visit(Browsed {
                        id,
                        asset: Some(sighting),
                        file: None,
                    })?;
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Visits the files of a live directory that the catalog does not know. `below` gets
    /// its directories.
    fn unknown_files(
        &self,
        range: &Range,
        path: &PublicId,
        known: &HashSet<Name>,
        below: &mut BTreeMap<Name, Option<NodeId>>,
        visit: &mut dyn FnMut(Browsed) -> Result<()>,
    ) -> Result<()> {
        let io = |error: std::io::Error| VaultError::io(path.to_string(), error);
        let directory = match self.live.open_directory(path) {
            Ok(directory) => directory,
            Err(error) if live::is_absent(&error) => return Ok(()),
            Err(error) => return Err(io(error)),
        };
        let names = rustix::fs::Dir::read_from(&directory).map_err(|error| io(error.into()))?;
        for entry in names {
            let entry = entry.map_err(|error| io(error.into()))?;
            let Ok(name) = Name::new(entry.file_name().to_bytes()) else {
                continue;
            };
            let id = path.join(&name);
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    rustix::fs::statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                        .map_or(FileType::Unknown, |stat| {
                            FileType::from_raw_mode(stat.st_mode)
                        })
                }
                kind => kind,
            };
            match kind {
                FileType::Directory => {
                    below.entry(name).or_insert(None);
                }
                FileType::RegularFile if !known.contains(&name) && range.has(&id) => {
                    if transient_rule(&id).is_some() {
                        continue;
                    }
                    if let Ok(Some(Found::File(facts))) = self.live.find(&id) {
                        visit(Browsed {
                            id,
                            asset: None,
                            file: Some(facts),
                        })?;
                    }
                }
                _ => {}
            }
        }
        if path.is_root() {
            below.retain(|name, node| {
                let is_history = HISTORY_NAMES
                    .iter()
                    .any(|(_, history)| name.as_bytes() == history.as_bytes());
                node.is_some() || !is_history
            });
        }
        Ok(())
    }
}
