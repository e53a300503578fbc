//! Moving, exchanging and forgetting assets and directories.
//!
//! A directory moves by its own entry alone; what is below it does not know. Its
//! old and its new parent count it as one, however much it holds.

use super::namespace::{Entry, weight};
use super::transaction::values;
use super::{SqliteCatalog, invariant};
use crate::catalog::{NodeKind, Result, Standing};
use crate::model::{Name, NodeId, Timestamp};

impl SqliteCatalog {
    pub(super) fn relocate_asset(
        &mut self,
        asset: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()> {
        let entry = self.entry_of(asset, NodeKind::Asset)?;
        self.require_free(parent, name, NodeKind::Asset)?;
        let now = self.state.tick(now);
        self.end_entry(&entry, now)?;
        let place = (parent.0, name.as_bytes().to_vec());
        self.begin_entry(asset.0, place, NodeKind::Asset, entry.standing, now)?;
        if entry.parent != parent.0 {
            let (assets, deleted) = weight(entry.standing);
            self.count(entry.parent, (-assets, -deleted))?;
            self.count(parent.0, (assets, deleted))?;
        }
        Ok(())
    }

    pub(super) fn relocate_directory(
        &mut self,
        directory: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()> {
        let entry = self.entry_of(directory, NodeKind::Directory)?;
        self.require_free(parent, name, NodeKind::Directory)?;
        if self.is_within(parent, directory)? {
            return invariant("a directory cannot move into itself");
        }
        let now = self.state.tick(now);
        self.end_entry(&entry, now)?;
        let place = (parent.0, name.as_bytes().to_vec());
        self.begin_entry(directory.0, place, NodeKind::Directory, Standing::Live, now)?;
        if entry.parent != parent.0 {
            let (assets, deleted) = self.directory_weight(directory)?;
            self.count(entry.parent, (-assets, -deleted))?;
            self.count(parent.0, (assets, deleted))?;
        }
        Ok(())
    }

    pub(super) fn exchange_assets(&mut self, a: NodeId, b: NodeId, now: Timestamp) -> Result<()> {
        let at_a = self.entry_standing(a, Standing::Live)?;
        let at_b = self.entry_standing(b, Standing::Live)?;
        // Live for live: no directory counts anything else afterwards.
        self.exchange((a, at_a), (b, at_b), NodeKind::Asset, now)
    }

    pub(super) fn exchange_directories(
        &mut self,
        a: NodeId,
        b: NodeId,
        now: Timestamp,
    ) -> Result<()> {
        let at_a = self.entry_of(a, NodeKind::Directory)?;
        let at_b = self.entry_of(b, NodeKind::Directory)?;
        if a != b
            && (self.is_within(NodeId(at_a.parent), b)?
                || self.is_within(NodeId(at_b.parent), a)?)
        {
            return invariant("a directory cannot change places with one inside it");
        }
        let (weight_a, weight_b) = (self.directory_weight(a)?, self.directory_weight(b)?);
        let more = (weight_b.0 - weight_a.0, weight_b.1 - weight_a.1);
        let (parent_a, parent_b) = (at_a.parent, at_b.parent);
        self.exchange((a, at_a), (b, at_b), NodeKind::Directory, now)?;
        if parent_a != parent_b {
            self.count(parent_a, more)?;
            self.count(parent_b, (-more.0, -more.1))?;
        }
        Ok(())
    }

    fn exchange(
        &mut self,
        (a, at_a): (NodeId, Entry),
        (b, at_b): (NodeId, Entry),
        kind: NodeKind,
        now: Timestamp,
    ) -> Result<()> {
        if a == b {
            return Ok(());
        }
        let now = self.state.tick(now);
        self.end_entry(&at_a, now)?;
        self.end_entry(&at_b, now)?;
        let live = Standing::Live;
        self.begin_entry(a.0, (at_b.parent, at_b.name), kind, live, now)?;
        self.begin_entry(b.0, (at_a.parent, at_a.name), kind, live, now)
    }

    /// True when `node` is `directory` or lies below it.
    fn is_within(&self, node: NodeId, directory: NodeId) -> Result<bool> {
        let mut at = node;
        while at != directory {
            match self.entry(at.0)? {
                Some(entry) => at = NodeId(entry.parent),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    pub(super) fn drop_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        let entry = self.entry_of(asset, NodeKind::Asset)?;
        if !self.latest_of(asset, 1)?.is_empty() {
            return invariant(format!("asset {} still has versions", asset.0));
        }
        let now = self.state.tick(now);
        self.end_entry(&entry, now)?;
        self.drop_labels(asset)?;
        self.write("DELETE FROM asset WHERE node = ?1", values![asset.0])?;
        let (assets, deleted) = weight(entry.standing);
        self.count(entry.parent, (-assets, -deleted))?;
        match entry.standing {
            Standing::Live => self.state.assets_live -= 1,
            Standing::Deleted => self.state.assets_deleted -= 1,
        }
        Ok(())
    }

    /// Forgets a directory and the known directories below it, none of which holds
    /// anything: so no count changes.
    pub(super) fn drop_directory(&mut self, directory: NodeId, now: Timestamp) -> Result<()> {
        self.entry_of(directory, NodeKind::Directory)?;
        let below = self.many(
            "WITH RECURSIVE below (node) AS (
               VALUES (?1)
               UNION ALL
               SELECT entry.node FROM below JOIN entry ON entry.parent = below.node
               WHERE entry.kind = 0 AND entry.until = 9223372036854775807
             )
             SELECT node, assets, backup FROM below JOIN directory USING (node)",
            [directory.0],
            |row| {
                let held = row.get::<_, i64>(1)? > 0 || row.get::<_, Option<String>>(2)?.is_some();
                Ok((row.get::<_, i64>(0)?, held))
            },
        )?;
        if below.iter().any(|(_, held)| *held) {
            return invariant(format!(
                "directory {} holds assets or an override",
                directory.0
            ));
        }
        let now = self.state.tick(now);
        for (node, _) in below {
            let entry = self.entry_of(NodeId(node), NodeKind::Directory)?;
            self.end_entry(&entry, now)?;
            self.write("DELETE FROM directory WHERE node = ?1", values![node])?;
        }
        Ok(())
    }
}
