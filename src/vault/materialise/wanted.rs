//! Which files and directories a live tree that is made anew shall have.
//!
//! Only asks the catalog, which a stranger may have made up: what makes no sense is left out
//! and told. The surprise: an asset whose last version came later than the instant that is
//! wanted has the one before it, and one that had none then is left out.

use std::collections::{HashMap, HashSet};

use crate::catalog::{Catalog, Child, ContentExtent, NodeKind, Standing};
use crate::model::{
    Attributes, HistoryName, NodeId, Override, PublicId, ROOT, Timestamp, Version, VersionState,
};
use crate::store::chunks_max;
use crate::vault::rename_directory::all_children;
use crate::vault::restore::SET_IDS;
use crate::vault::{Result, Vault, VaultError};

/// Plain bytes of the files that are fetched together: a small part of what the cache for
/// readers holds, for each thread.
const BATCH_BYTES_MAX: u64 = 8 << 20;
/// Files of one batch: empty ones take their time, too.
const BATCH_FILES_MAX: usize = 1000;

/// A file to be brought.
pub(super) struct Wanted {
    pub(super) path: PublicId,
    pub(super) version: Version,
    /// Those of the file, which may have changed since the version was kept.
    pub(super) attributes: Attributes,
    /// Whether it is what the asset has now, so that a scan would find nothing.
    pub(super) is_current: bool,
    /// What its chunks come to.
    pub(super) extent: ContentExtent,
}

/// A directory to be brought.
pub(super) struct WantedDirectory {
    pub(super) attributes: Attributes,
    pub(super) backup: Option<Override>,
}

/// The tree to be brought, by path.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) files: Vec<Wanted>,
    /// What nothing can be brought of, because the catalog makes no sense there.
    pub(super) senseless: Vec<(PublicId, VaultError)>,
    pub(super) directories: HashMap<PublicId, WantedDirectory>,
}

/// No program makes a path so long.
const PATH_BYTES_MAX: usize = 64 << 10;

const DISAGREES: &str = "the catalog has another size for it than for its chunks, so the version is \
                         damaged; keepfs versions shows whether there is an older one";

impl Tree {
    fn leave_out(&mut self, path: PublicId, problem: &'static str) {
        let error = VaultError::WrongKind {
            path: path.clone(),
            problem,
        };
        self.senseless.push((path, error));
    }

    /// Takes the set-id bits from the modes of all files; returns of how many. Those of
    /// directories only say whose group new files get.
    pub(super) fn leave_out_set_ids(&mut self) -> u64 {
        let mut files = 0;
        for file in &mut self.files {
            files += u64::from(file.attributes.mode & SET_IDS != 0);
            file.attributes.mode &= !SET_IDS;
        }
        files
    }
}

impl Vault {
    /// Every file and directory that was there at an instant. `None`: by the catalog, now.
    pub(super) fn tree_at(&self, at: Option<Timestamp>) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut waiting = vec![(PublicId::root(), ROOT)];
        let mut seen = HashSet::new();
        while let Some((path, node)) = waiting.pop() {
            // Only a catalog that somebody made up has a directory in two places, or so deep.
            let is_short = path.as_bytes().len() <= PATH_BYTES_MAX;
            if !seen.insert(node) || !is_short {
                let path = PublicId::root();
                let problem =
                    "the catalog has a directory where none can be; keepfs check says more";
                return Err(VaultError::WrongKind { path, problem });
            }
            // Locked for each directory anew: there may be many.
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            if let Some(record) = catalog.directory(node)? {
                let wanted = WantedDirectory {
                    attributes: record.attributes,
                    backup: record.backup,
                };
                tree.directories.insert(path.clone(), wanted);
            }
            let is_root = path.is_root();
            for (path, node, kind) in children(catalog, &path, node, at)? {
                if is_root && HistoryName::from_root_name(path.as_bytes()).is_some() {
                    tree.leave_out(path, "the name shows history, and no file can have it");
                    continue;
                }
                match kind {
                    NodeKind::Directory => waiting.push((path, node)),
                    NodeKind::Asset => match wanted(catalog, &path, node, at)? {
                        Some(file) if is_possible(catalog, &file)? => tree.files.push(file),
                        Some(_) => tree.leave_out(path, DISAGREES),
                        None => {}
                    },
                }
            }
        }
        Ok(tree)
    }
}

/// Files that follow each other in the packs, some at a time.
pub(super) fn batches(files: &[Wanted]) -> Vec<&[Wanted]> {
    let mut batches = Vec::new();
    let (mut first, mut bytes) = (0, 0_u64);
    for (index, file) in files.iter().enumerate() {
        let with_this = bytes.saturating_add(file.version.size);
        if index > first && (with_this > BATCH_BYTES_MAX || index - first == BATCH_FILES_MAX) {
            batches.push(&files[first..index]);
            (first, bytes) = (index, 0);
        }
        bytes = bytes.saturating_add(file.version.size);
    }
    batches.push(&files[first..]);
    batches
}

fn children(
    catalog: &mut dyn Catalog,
    path: &PublicId,
    node: NodeId,
    at: Option<Timestamp>,
) -> Result<Vec<(PublicId, NodeId, NodeKind)>> {
    if let Some(at) = at {
        let children = catalog.children_at(node, at)?.into_iter();
        return Ok(children
            .map(|(name, node, kind)| (path.join(&name), node, kind))
            .collect());
    }
    let live = all_children(catalog, node)?.into_iter();
    Ok(live
        .filter_map(|child| match child {
            Child::Directory { name, node, .. } => {
                Some((path.join(&name), node, NodeKind::Directory))
            }
            Child::Asset {
                name,
                node,
                standing: Standing::Live,
            } => Some((path.join(&name), node, NodeKind::Asset)),
            Child::Asset { .. } => None,
        })
        .collect())
}

/// False where the sizes of a version, its content and its chunks do not agree: bringing it
/// could take any amount of memory and of disk.
fn is_possible(catalog: &mut dyn Catalog, file: &Wanted) -> Result<bool> {
    let size = file.version.size;
    match file.version.state {
        VersionState::Sealed { .. } => Ok(true),
        VersionState::Stored { content, blake3 } => Ok(file.extent.plain_bytes == size
            && file.extent.chunks <= chunks_max(size)
            && catalog.content_by_hash(&blake3, size)? == Some(content)),
    }
}

/// The version that an asset had then. `None`: none was kept yet.
fn wanted(
    catalog: &mut dyn Catalog,
    path: &PublicId,
    asset: NodeId,
    at: Option<Timestamp>,
) -> Result<Option<Wanted>> {
    let Some(latest) = catalog.latest_versions(asset, 1)?.pop() else {
        return Ok(None);
    };
    let record = catalog.asset(asset)?;
    let is_live = record
        .as_ref()
        .is_some_and(|record| record.standing == Standing::Live);
    let (version, is_current) = match at {
        Some(at) if latest.kept_at > at => {
            let versions = catalog.versions(asset)?.into_iter();
            match versions.rev().find(|version| version.kept_at <= at) {
                Some(version) => (version, false),
                None => return Ok(None),
            }
        }
        _ => (latest, is_live),
    };
    let extent = match version.state {
        VersionState::Stored { content, .. } => catalog.content_extent(content)?,
        VersionState::Sealed { .. } => ContentExtent::default(),
    };
    let last_attributes = record.and_then(|record| record.last_attributes);
    Ok(Some(Wanted {
        path: path.clone(),
        attributes: match last_attributes {
            Some(last) if is_current => last,
            _ => version.attributes,
        },
        version,
        is_current,
        extent,
    }))
}
