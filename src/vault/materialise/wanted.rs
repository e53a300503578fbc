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
    /// Bytes of its content by the content's own row. `None`: it has none of its size.
    content_bytes: Option<u64>,
    /// What its chunks come to.
    pub(super) extent: ContentExtent,
}

impl Wanted {
    /// False where the sizes of a version, its content and its chunks do not agree: bringing
    /// it could take any amount of memory and of disk.
    fn is_possible(&self) -> bool {
        let size = self.version.size;
        match self.version.state {
            VersionState::Sealed { .. } => true,
            VersionState::Stored { .. } => {
                self.content_bytes == Some(size)
                    && self.extent.plain_bytes == size
                    && self.extent.chunks <= chunks_max(size)
            }
        }
    }
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

    /// Those below a directory that can have their names.
    fn possible<T>(
        &mut self,
        directory: &PublicId,
        mut below: Vec<T>,
        path_of: impl Fn(&T) -> &PublicId,
    ) -> Vec<T> {
        if directory.is_root() {
            below.retain(|one| {
                let path = path_of(one);
                let is_history = HistoryName::from_root_name(path.as_bytes()).is_some();
                if is_history {
                    self.leave_out(
                        path.clone(),
                        "the name shows history, and no file can have it",
                    );
                }
                !is_history
            });
        }
        below
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
            let (directories, files) = match at {
                Some(at) => below_at(catalog, &path, node, at)?,
                None => below_now(catalog, &path, node)?,
            };
            waiting.extend(tree.possible(&path, directories, |(path, _)| path));
            for file in tree.possible(&path, files, |file| &file.path) {
                match file.is_possible() {
                    true => tree.files.push(file),
                    false => tree.leave_out(file.path, DISAGREES),
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

/// What was live below a directory at an instant: directories, files.
type Below = (Vec<(PublicId, NodeId)>, Vec<Wanted>);

fn below_now(catalog: &mut dyn Catalog, path: &PublicId, directory: NodeId) -> Result<Below> {
    let children = all_children(catalog, directory)?.into_iter();
    let directories = children.filter_map(|child| match child {
        Child::Directory { name, node, .. } => Some((path.join(&name), node)),
        Child::Asset { .. } => None,
    });
    let directories = directories.collect();
    let files = catalog.live_files(directory)?.into_iter();
    let files = files.map(|file| Wanted {
        path: path.join(&file.name),
        attributes: file.last_attributes.unwrap_or(file.version.attributes),
        version: file.version,
        is_current: true,
        content_bytes: file.content_bytes,
        extent: file.extent,
    });
    Ok((directories, files.collect()))
}

fn below_at(
    catalog: &mut dyn Catalog,
    path: &PublicId,
    directory: NodeId,
    at: Timestamp,
) -> Result<Below> {
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    for (name, node, kind) in catalog.children_at(directory, at)? {
        let path = path.join(&name);
        match kind {
            NodeKind::Directory => directories.push((path, node)),
            NodeKind::Asset => files.extend(wanted_at(catalog, path, node, at)?),
        }
    }
    Ok((directories, files))
}

/// The version that an asset had then. `None`: none was kept yet.
fn wanted_at(
    catalog: &mut dyn Catalog,
    path: PublicId,
    asset: NodeId,
    at: Timestamp,
) -> Result<Option<Wanted>> {
    let Some(latest) = catalog.latest_versions(asset, 1)?.pop() else {
        return Ok(None);
    };
    let record = catalog.asset(asset)?;
    let is_live = record
        .as_ref()
        .is_some_and(|record| record.standing == Standing::Live);
    let (version, is_current) = if latest.kept_at > at {
        let versions = catalog.versions(asset)?.into_iter();
        match versions.rev().find(|version| version.kept_at <= at) {
            Some(version) => (version, false),
            None => return Ok(None),
        }
    } else {
        (latest, is_live)
    };
    let (content_bytes, extent) = match version.state {
        VersionState::Stored { content, blake3 } => {
            let known = catalog.content_by_hash(&blake3, version.size)?;
            let is_of_size = known == Some(content);
            (
                is_of_size.then_some(version.size),
                catalog.content_extent(content)?,
            )
        }
        VersionState::Sealed { .. } => (None, ContentExtent::default()),
    };
    let last_attributes = record.and_then(|record| record.last_attributes);
    Ok(Some(Wanted {
        path,
        attributes: match last_attributes {
            Some(last) if is_current => last,
            _ => version.attributes,
        },
        version,
        is_current,
        content_bytes,
        extent,
    }))
}
