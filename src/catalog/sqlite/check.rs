//! Totals from the kept counts, and the search for damage.
//!
//! [`SqliteCatalog::look_for_damage`] trusts no kept count: it counts everything
//! again and compares. Each rule is one query that returns the rows that break it.

use std::collections::{HashMap, HashSet};

use super::SqliteCatalog;
use super::codec::each_chunk;
use super::state::State;
use crate::catalog::{Result, Totals};
use crate::model::{ROOT, Timestamp};

/// Findings of one kind that are worth listing.
const SHOWN: usize = 20;

/// Queries that find nothing in a sound catalog, and what their rows are.
const RULES: [(&str, &str); 16] = [
    (
        "entry without its directory",
        "SELECT node FROM entry WHERE until = 9223372036854775807 AND kind = 0
           AND node NOT IN (SELECT node FROM directory)",
    ),
    (
        "entry without its asset",
        "SELECT node FROM entry WHERE until = 9223372036854775807 AND kind = 1
           AND node NOT IN (SELECT node FROM asset)",
    ),
    (
        "entry in an unknown directory",
        "SELECT node FROM entry WHERE until = 9223372036854775807
           AND parent NOT IN (SELECT node FROM directory)",
    ),
    (
        "entry that ends before it begins",
        "SELECT id FROM entry WHERE until < since",
    ),
    (
        "asset without a name",
        "SELECT node FROM asset WHERE node NOT IN
           (SELECT node FROM entry WHERE until = 9223372036854775807 AND kind = 1)",
    ),
    (
        "deleted asset with a live file",
        "SELECT node FROM asset JOIN entry USING (node)
         WHERE until = 9223372036854775807 AND claim = 0 AND dev IS NOT NULL",
    ),
    (
        "directory with wrong counts",
        "WITH direct (node, assets, deleted) AS (
           SELECT parent, count(*), sum(claim = 0) FROM entry
           WHERE until = 9223372036854775807 AND kind = 1 GROUP BY parent
         ), below (node, assets, deleted) AS (
           SELECT entry.parent, sum(directory.assets > 0), sum(directory.deleted > 0)
           FROM entry JOIN directory USING (node)
           WHERE entry.until = 9223372036854775807 AND entry.kind = 0 GROUP BY entry.parent
         )
         SELECT directory.node FROM directory LEFT JOIN direct USING (node) LEFT JOIN below USING (node)
         WHERE directory.assets <> coalesce(direct.assets, 0) + coalesce(below.assets, 0)
            OR directory.deleted <> coalesce(direct.deleted, 0) + coalesce(below.deleted, 0)",
    ),
    ("directory above the root", "SELECT id FROM entry WHERE node = 1"),
    (
        "version without its asset",
        "SELECT seq FROM version WHERE asset NOT IN (SELECT node FROM asset)",
    ),
    (
        "version without its content",
        "SELECT seq FROM version
         WHERE content IS NOT NULL AND content NOT IN (SELECT id FROM content)",
    ),
    (
        "version that is neither sealed nor stored, or both",
        "SELECT seq FROM version WHERE (content IS NULL) <> (seq IN (SELECT seq FROM sealed))",
    ),
    (
        "sealed bytes without a version",
        "SELECT seq FROM sealed WHERE seq NOT IN (SELECT seq FROM version)",
    ),
    (
        "hold on no version",
        "SELECT seq FROM hold WHERE seq NOT IN (SELECT seq FROM version)",
    ),
    (
        "label on no asset",
        "SELECT asset FROM label WHERE asset NOT IN (SELECT node FROM asset)",
    ),
    (
        "chunk in an unknown pack",
        "SELECT id FROM chunk WHERE pack NOT IN (SELECT id FROM pack)",
    ),
    (
        "pack with wrong sums",
        "SELECT pack.id FROM pack LEFT JOIN (
           SELECT pack, sum(iif(refs > 0, stored_bytes, 0)) AS live,
                  sum(iif(refs > 0, 0, stored_bytes)) AS dead
           FROM chunk GROUP BY pack
         ) AS sums ON sums.pack = pack.id
         WHERE live_bytes <> coalesce(live, 0) OR dead_bytes <> coalesce(dead, 0)",
    ),
];

impl SqliteCatalog {
    pub(super) fn count_all(&mut self) -> Result<Totals> {
        self.refresh_state()?;
        let oldest = self.one(
            "SELECT kept_at FROM sealed ORDER BY kept_at LIMIT 1",
            [],
            |row| row.get(0),
        )?;
        // Few: their row has their size only once they are stored.
        let open: Option<i64> = self.one(
            "SELECT coalesce(sum(live_bytes + dead_bytes - bytes), 0) FROM pack WHERE state = 0",
            [],
            |row| row.get(0),
        )?;
        let state = &self.state;
        Ok(Totals {
            assets_live: state.assets_live.cast_unsigned(),
            assets_deleted: state.assets_deleted.cast_unsigned(),
            versions: state.versions.cast_unsigned(),
            versions_sealed: state.versions_sealed.cast_unsigned(),
            sealed_bytes: state.sealed_bytes.cast_unsigned(),
            oldest_sealed_at: oldest.map(Timestamp::from_nanos),
            logical_bytes: state.logical_bytes.cast_unsigned(),
            unique_bytes: state.unique_bytes.cast_unsigned(),
            pack_bytes: (state.pack_bytes + open.unwrap_or(0)).cast_unsigned(),
            packs: state.packs.cast_unsigned(),
        })
    }

    /// Opened for reading, the counts are those of another process.
    fn refresh_state(&mut self) -> Result<()> {
        if self.read_only {
            self.state = State::load(&self.connection).map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    pub(super) fn look_for_damage(&mut self) -> Result<Vec<String>> {
        self.refresh_state()?;
        let broken: Vec<String> = self
            .many("PRAGMA integrity_check(20)", [], |row| row.get(0))?
            .into_iter()
            .filter(|line: &String| line != "ok")
            .collect();
        // With broken pages the rules would only repeat it in other words.
        match broken.is_empty() {
            true => self.look_for_nonsense(),
            false => Ok(broken),
        }
    }

    /// What the rows contradict each other in, if the file is whole.
    pub(super) fn look_for_nonsense(&mut self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (what, sql) in RULES {
            let rows = self.many(sql, [], |row| row.get::<_, i64>(0))?;
            report(&mut found, what, &rows);
        }
        report(
            &mut found,
            "directory out of reach of the root",
            &self.unreachable_directories()?,
        );
        self.check_references(&mut found)?;
        self.check_counts(&mut found)?;
        Ok(found)
    }

    /// Those that no walk from the root would come to. Not by a recursive query: it would look
    /// at each file in each directory, and files are the most.
    fn unreachable_directories(&self) -> Result<Vec<i64>> {
        let directories: Vec<(i64, Option<i64>)> = self.many(
            "SELECT directory.node, entry.parent FROM directory LEFT JOIN entry
             ON entry.node = directory.node AND entry.kind = 0
               AND entry.until = 9223372036854775807",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let mut below: HashMap<i64, Vec<i64>> = HashMap::new();
        for (node, parent) in &directories {
            below
                .entry(parent.unwrap_or(*node))
                .or_default()
                .push(*node);
        }
        let (mut reached, mut waiting) = (HashSet::from([ROOT.0]), vec![ROOT.0]);
        while let Some(node) = waiting.pop() {
            let children = below.remove(&node).unwrap_or_default().into_iter();
            waiting.extend(children.filter(|child| reached.insert(*child)));
        }
        let nodes = directories.into_iter().map(|(node, _)| node);
        Ok(nodes.filter(|node| !reached.contains(node)).collect())
    }

    fn check_references(&self, found: &mut Vec<String>) -> Result<()> {
        let mut counted = std::collections::BTreeMap::<i64, i64>::new();
        let lists = self.many("SELECT id, chunks FROM content", [], |row| {
            let list = each_chunk(row.get_ref(1)?.as_blob()?, |chunk| {
                *counted.entry(chunk).or_default() += 1;
            });
            Ok((row.get::<_, i64>(0)?, list.is_some()))
        })?;
        let unreadable: Vec<i64> = lists
            .into_iter()
            .filter_map(|(content, readable)| (!readable).then_some(content))
            .collect();
        report(found, "content with an unreadable chunk list", &unreadable);
        let wrong: Vec<i64> = self
            .many("SELECT id, refs FROM chunk", [], |row| {
                let (id, refs): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok((id, refs == counted.remove(&id).unwrap_or(0)))
            })?
            .into_iter()
            .filter_map(|(chunk, right)| (!right).then_some(chunk))
            .collect();
        report(found, "chunk with a wrong count of references", &wrong);
        let missing: Vec<i64> = counted.into_keys().collect();
        report(
            found,
            "chunk that a content lists and nobody knows",
            &missing,
        );
        Ok(())
    }

    fn check_counts(&self, found: &mut Vec<String>) -> Result<()> {
        let state = &self.state;
        let counts = [
            (
                "live assets",
                state.assets_live,
                "SELECT count(*) FROM entry
                 WHERE until = 9223372036854775807 AND kind = 1 AND claim = 1",
            ),
            (
                "deleted assets",
                state.assets_deleted,
                "SELECT count(*) FROM entry
                 WHERE until = 9223372036854775807 AND kind = 1 AND claim = 0",
            ),
            ("versions", state.versions, "SELECT count(*) FROM version"),
            (
                "sealed versions",
                state.versions_sealed,
                "SELECT count(*) FROM sealed",
            ),
            (
                "sealed bytes",
                state.sealed_bytes,
                "SELECT coalesce(sum(version.size), 0) FROM sealed JOIN version USING (seq)",
            ),
            (
                "logical bytes",
                state.logical_bytes,
                "SELECT coalesce(sum(size), 0) FROM version",
            ),
            (
                "unique bytes",
                state.unique_bytes,
                "SELECT coalesce(sum(plain_bytes), 0) FROM chunk",
            ),
            (
                "pack bytes",
                state.pack_bytes,
                "SELECT coalesce(sum(bytes), 0) FROM pack",
            ),
            ("packs", state.packs, "SELECT count(*) FROM pack"),
        ];
        for (what, kept, sql) in counts {
            let counted: i64 = self.one(sql, [], |row| row.get(0))?.unwrap_or(0);
            if kept != counted {
                found.push(format!("{what}: {counted}, noted as {kept}"));
            }
        }
        let next: i64 = self
            .one("SELECT coalesce(max(node), 1) + 1 FROM entry", [], |row| {
                row.get(0)
            })?
            .unwrap_or(0);
        if state.next_node < next {
            found.push(format!("node {} would be given out twice", state.next_node));
        }
        Ok(())
    }
}

fn report(found: &mut Vec<String>, what: &str, rows: &[i64]) {
    for row in rows.iter().take(SHOWN) {
        found.push(format!("{what}: {row}"));
    }
    if rows.len() > SHOWN {
        found.push(format!("{what}: {} more", rows.len() - SHOWN));
    }
}
