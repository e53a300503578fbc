//! Contents that were stored for a version which did not come to be: the file changed, the
//! catalog failed, the process was killed.
//!
//! A mark in the catalog says that there may be some. The surprise: they are not removed at
//! once, for ingest may just have come to the same content, and no row says so yet.

use crate::catalog::Catalog;
use crate::model::ContentId;

use super::{Result, Vault, lock};

/// Present while there may be contents that no version has.
const SETTING: &str = "local.leftovers";
/// Contents that are removed in one turn at the catalog.
const TURN_CONTENTS: usize = 64;

/// What is known of them in this run.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    contents: Vec<ContentId>,
    /// Intakes under way.
    intakes: usize,
    is_marked: bool,
    /// An intake ended early: some are not among `contents`.
    has_unknown: bool,
}

/// Whether any are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    Something,
}

/// An intake under way, which stores contents before their versions are made.
pub(super) struct IntakeMark<'a> {
    vault: &'a Vault,
    has_succeeded: bool,
}

impl IntakeMark<'_> {
    /// Each of its contents has a version, or was left over.
    pub(super) fn succeed(mut self) {
        self.has_succeeded = true;
    }
}

impl Drop for IntakeMark<'_> {
    fn drop(&mut self) {
        let mut leftovers = lock(&self.vault.leftovers);
        leftovers.intakes -= 1;
        leftovers.has_unknown |= !self.has_succeeded;
    }
}

impl Vault {
    /// Marks that contents will be without a version for a while.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(super) fn mark_intake(&self) -> Result<IntakeMark<'_>> {
        // Held to the end: whoever takes the mark away holds it, too.
        let mut catalog = self.catalog();
        self.mark_leftovers(catalog.as_mut())?;
        lock(&self.leftovers).intakes += 1;
        Ok(IntakeMark {
            vault: self,
            has_succeeded: false,
        })
    }

    /// Notes a content that is of no use, unless somebody else has it.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(super) fn leave_over(&self, content: ContentId) -> Result<()> {
        let mut catalog = self.catalog();
        self.mark_leftovers(catalog.as_mut())?;
        lock(&self.leftovers).contents.push(content);
        Ok(())
    }

    fn mark_leftovers(&self, catalog: &mut dyn Catalog) -> Result<()> {
        if !lock(&self.leftovers).is_marked {
            catalog.set_setting(SETTING, Some("yes"))?;
            lock(&self.leftovers).is_marked = true;
        }
        Ok(())
    }

    /// Removes the contents that were left over and that no version came to use; not while
    /// anything is ingested. What an intake under way has stored is not among them, and is
    /// looked up again before it gets a version.
    ///
    /// # Errors
    /// When the catalog fails: some are left then.
    pub(super) fn remove_leftovers(&self) -> Result<Left> {
        while lock(&self.leftovers).is_marked {
            // Ingest looks contents up under the lock, and is not idle from before to after.
            let mut catalog = self.catalog();
            if !lock(&self.ingest.queue).is_idle() {
                return Ok(Left::Something);
            }
            let mut leftovers = lock(&self.leftovers);
            let kept = leftovers.contents.len().saturating_sub(TURN_CONTENTS);
            for content in leftovers.contents.split_off(kept) {
                let removed = catalog.remove_content_if_unused(content);
                leftovers.has_unknown |= removed.is_err();
                removed?;
            }
            if kept > 0 {
                continue;
            }
            if leftovers.intakes > 0 {
                return Ok(Left::Something);
            }
            if leftovers.has_unknown {
                catalog.remove_unused_contents()?;
                leftovers.has_unknown = false;
            }
            catalog.set_setting(SETTING, None)?;
            leftovers.is_marked = false;
        }
        Ok(Left::Nothing)
    }

    /// At the start, before anything is ingested: what an earlier run left.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(super) fn remove_earlier_leftovers(&self, catalog: &mut dyn Catalog) -> Result<()> {
        if catalog.setting(SETTING)?.is_some() {
            catalog.remove_unused_contents()?;
            catalog.set_setting(SETTING, None)?;
        }
        Ok(())
    }
}
