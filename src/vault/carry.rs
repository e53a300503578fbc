//! Versions that change their asset: a save carries them to the name it saves to.

use crate::catalog::Catalog;
use crate::model::{NodeId, Timestamp, Version, VersionState};

use super::{Result, Vault, lock};

impl Vault {
    /// The latest version of `from` becomes the next version of `to`. The same
    /// content as `to` has already is no new version.
    pub(super) fn carry_latest(
        &self,
        catalog: &mut dyn Catalog,
        from: NodeId,
        to: NodeId,
    ) -> Result<()> {
        let Some(version) = catalog.latest_versions(from, 1)?.pop() else {
            return Ok(());
        };
        let present = catalog.latest_versions(to, 1)?.pop();
        if let Some(present) = &present
            && same_content(present, &version)
        {
            self.pass_hold_on(catalog, version.seq, present.seq)?;
            return Ok(catalog.remove_version(version.seq)?);
        }
        self.carry(catalog, &version, to, present.as_ref())
    }

    /// All versions of `from` follow those of `to`, in their order.
    pub(super) fn carry_all(
        &self,
        catalog: &mut dyn Catalog,
        from: NodeId,
        to: NodeId,
    ) -> Result<()> {
        for version in catalog.versions(from)? {
            let present = catalog.latest_versions(to, 1)?.pop();
            self.carry(catalog, &version, to, present.as_ref())?;
        }
        Ok(())
    }

    fn carry(
        &self,
        catalog: &mut dyn Catalog,
        version: &Version,
        to: NodeId,
        present: Option<&Version>,
    ) -> Result<()> {
        let id = match present {
            Some(present) if present.id > version.id => lock(&self.ids).next(self.clock.as_ref()),
            _ => version.id,
        };
        // It differed from the versions it was among; here nobody knows yet.
        lock(&self.distinct).remove(&version.seq);
        Ok(catalog.move_version(version.seq, to, id)?)
    }

    /// An asset's live file is gone: its name is reserved if a version with a byte in
    /// it remains, and free otherwise. Returns the versions that went, whose pins the
    /// caller ends once the change holds.
    pub(super) fn end_live(
        &self,
        catalog: &mut dyn Catalog,
        asset: NodeId,
        now: Timestamp,
    ) -> Result<Vec<Version>> {
        let latest = catalog.latest_versions(asset, 1)?.pop();
        if latest.is_some_and(|latest| latest.size > 0) {
            catalog.delete_asset(asset, now)?;
            return Ok(Vec::new());
        }
        let versions = catalog.versions(asset)?;
        if versions.iter().any(|version| version.size > 0) {
            catalog.delete_asset(asset, now)?;
            return Ok(Vec::new());
        }
        for version in &versions {
            catalog.remove_version(version.seq)?;
        }
        self.forget_asset(catalog, asset, now)?;
        Ok(versions)
    }
}

/// True when two stored versions have the same bytes; of sealed ones nobody knows yet.
fn same_content(a: &Version, b: &Version) -> bool {
    match (a.state, b.state) {
        (VersionState::Stored { content: a, .. }, VersionState::Stored { content: b, .. }) => {
            a == b
        }
        _ => false,
    }
}
