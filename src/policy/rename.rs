//! Is this rename a move, or a step of a tool that saves?
//!
//! [`relation`] reads the two names; [`classify_rename`] adds what is known of
//! the two files and gives the row of the table in the docs. The surprise: the
//! order of the rows is the rule. A tool's save is let through before anything
//! is refused, so a save never fails because its target was deleted meanwhile.

use super::Kept;
use super::transient::{is_six_alphanumerics, transient_rule};
use crate::model::PublicId;

/// What two names say about a rename from one to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRelation {
    /// `from` is a tool's temporary name for `to`.
    ToolSave,
    /// `to` is a tool's backup name for `from`.
    ToolBackup {
        /// What becomes of the copy under the backup name.
        kept: KeptCopy,
    },
    /// Neither.
    Unrelated,
}

/// What becomes of a file that a tool renamed to a backup name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptCopy {
    /// An asset with a version of its own (`X.bak`: people look for it by that name).
    OwnVersion,
    /// Nothing: the history of `X` has the content, and the tool makes `X~` at every save.
    Never,
}

/// The row of the table that a rename of a regular file falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameCase {
    /// The content becomes the next version of the target, live or reserved, where
    /// policy keeps the target; the source's name is free again.
    SaveIn,
    /// The history stays with the source's name, which counts as deleted until it
    /// is written again.
    SaveAway {
        /// What the file has under its new name.
        target_gets_version: TargetVersion,
    },
    /// The history follows the asset; a file without history may be replaced.
    MoveToFree,
    /// The content becomes the next version of the target; the source's older
    /// versions stay under its name as a deleted asset.
    MoveOntoLive,
    /// EEXIST: the target's name belongs to a deleted asset.
    RefusedReserved,
    /// Neither side concerns history.
    Untracked,
}

/// Whether the target of a save away is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetVersion {
    /// The content is also a version of the target.
    Own,
    /// The target has nothing by this rename.
    None,
}

/// The source of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceStanding {
    /// Backed up: it has versions, or will have when it is closed.
    Asset,
    /// Not backed up: no version, and none to come.
    NotBackedUp,
}

/// The target of a rename, before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetStanding {
    /// No file, and no deleted asset claims the name.
    Free,
    /// A live asset.
    LiveAsset,
    /// A file without history.
    LiveOther,
    /// No file, but the name belongs to a deleted asset.
    Reserved,
}

/// What must be known to judge a rename of a regular file.
#[derive(Debug, Clone, Copy)]
pub struct RenameFacts<'a> {
    /// The old name.
    pub from: &'a PublicId,
    /// The new name.
    pub to: &'a PublicId,
    /// What is renamed.
    pub source: SourceStanding,
    /// What is at the new name.
    pub target: TargetStanding,
    /// Does policy back up the new name?
    pub target_kept: Kept,
}

/// Directories in which rsync's `--delay-updates` and `--partial-dir` (by the name
/// that its manual suggests) hold a file under its final name.
const PARTIAL_DIRECTORIES: [&[u8]; 2] = [b".~tmp~", b".rsync-partial"];

/// What the two names say.
pub fn relation(from: &PublicId, to: &PublicId) -> NameRelation {
    let (Some((from_dir, from_name)), Some((to_dir, to_name))) = (from.split(), to.split()) else {
        return NameRelation::Unrelated;
    };
    let (source, target) = (from_name.as_bytes(), to_name.as_bytes());

    if transient_rule(from).is_some() {
        return NameRelation::ToolSave;
    }
    if from_dir != to_dir {
        let partial = source == target
            && from_dir.split().is_some_and(|(above, directory)| {
                above == to_dir && PARTIAL_DIRECTORIES.contains(&directory.as_bytes())
            });
        return if partial {
            NameRelation::ToolSave
        } else {
            NameRelation::Unrelated
        };
    }
    if is_temporary_name_for(source, target) {
        return NameRelation::ToolSave;
    }
    if is_vims_other_backup_name(source, target) {
        return NameRelation::ToolBackup {
            kept: KeptCopy::Never,
        };
    }
    match target.strip_prefix(source) {
        Some(b"~") => NameRelation::ToolBackup {
            kept: KeptCopy::Never,
        },
        Some(b".bak" | b".orig" | b".old") => NameRelation::ToolBackup {
            kept: KeptCopy::OwnVersion,
        },
        _ => NameRelation::Unrelated,
    }
}

/// Where `X~` exists already, vim takes `X` with its last character changed to a
/// letter from `z` downwards, and `~`: `notes.txz~` for `notes.txt`.
fn is_vims_other_backup_name(source: &[u8], target: &[u8]) -> bool {
    match (source.split_last(), target) {
        (Some((_, stem)), [other @ .., letter, b'~']) => {
            !stem.is_empty() && stem == other && letter.is_ascii_lowercase()
        }
        _ => false,
    }
}

/// `T.lock`, `T.tmp`, `T.new`, `T.part`, `T.oXXXXXX`, `.T.XXXXXX`, `sedXXXXXX`.
///
/// In a rename a draw that happens to spell a word (one in 185) is still a draw: taken
/// for a person's file, a save onto a reserved name would now and then be refused.
fn is_temporary_name_for(source: &[u8], target: &[u8]) -> bool {
    let follows_target = source
        .strip_prefix(target)
        .is_some_and(|suffix| match suffix {
            b".lock" | b".tmp" | b".new" | b".part" => true,
            [b'.', b'o', draw @ ..] => is_any_draw(draw),
            _ => false,
        });
    // The target may be called `s`: what begins with it can still be sed's.
    if follows_target {
        return true;
    }
    if source.strip_prefix(b"sed").is_some_and(is_any_draw) {
        return true;
    }
    is_rsyncs_name_for(source, target)
}

/// `.T.XXXXXX`.
fn is_rsyncs_name_for(source: &[u8], target: &[u8]) -> bool {
    source
        .strip_prefix(b".")
        .and_then(|rest| rest.strip_prefix(target))
        .and_then(|rest| rest.strip_prefix(b"."))
        .is_some_and(is_six_alphanumerics)
}

/// Six characters that mkstemp can draw; digits alone (one in 17,600) are a number.
fn is_any_draw(text: &[u8]) -> bool {
    is_six_alphanumerics(text) && !text.iter().all(u8::is_ascii_digit)
}

/// `.T.XXXXXX` to `.~tmp~/T` beside it, where the draw spells a word: a file that nobody
/// knew for rsync's until now.
fn is_held_back(from: &PublicId, to: &PublicId) -> bool {
    let (Some((from_dir, from_name)), Some((partial_dir, name))) = (from.split(), to.split())
    else {
        return false;
    };
    let is_beside = partial_dir.split().is_some_and(|(above, directory)| {
        above == from_dir && PARTIAL_DIRECTORIES.contains(&directory.as_bytes())
    });
    is_beside && is_rsyncs_name_for(from_name.as_bytes(), name.as_bytes())
}

/// The row of the table for a rename of a regular file onto a free name or another
/// regular file.
pub fn classify_rename(facts: &RenameFacts<'_>) -> RenameCase {
    let target_is_transient = transient_rule(facts.to).is_some();
    let target_kept = match (target_is_transient, facts.target_kept) {
        (false, Kept::Yes) => Kept::Yes,
        _ => Kept::No,
    };
    let source_is_tracked =
        facts.source == SourceStanding::Asset && transient_rule(facts.from).is_none();
    if !source_is_tracked {
        return match target_kept {
            Kept::Yes => RenameCase::SaveIn,
            Kept::No => RenameCase::Untracked,
        };
    }
    // A transient name takes no history: what is moved there is on its way out
    // (`X` to `X___jb_old___`, to `~wrl0001.tmp`), even from a name like `T.tmp`.
    if target_is_transient {
        return match is_held_back(facts.from, facts.to) {
            // It comes back out of there by a save in.
            true => RenameCase::MoveToFree,
            false => RenameCase::SaveAway {
                target_gets_version: TargetVersion::None,
            },
        };
    }
    match (relation(facts.from, facts.to), facts.target) {
        (NameRelation::ToolSave, _) => RenameCase::SaveIn,
        (NameRelation::ToolBackup { kept }, _) => RenameCase::SaveAway {
            target_gets_version: match (kept, target_kept) {
                (KeptCopy::OwnVersion, Kept::Yes) => TargetVersion::Own,
                _ => TargetVersion::None,
            },
        },
        (NameRelation::Unrelated, TargetStanding::Free | TargetStanding::LiveOther) => {
            RenameCase::MoveToFree
        }
        (NameRelation::Unrelated, TargetStanding::LiveAsset) => RenameCase::MoveOntoLive,
        (NameRelation::Unrelated, TargetStanding::Reserved) => RenameCase::RefusedReserved,
    }
}

#[cfg(test)]
#[path = "rename_tests.rs"]
mod tests;
