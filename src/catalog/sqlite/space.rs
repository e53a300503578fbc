//! The space that versions take: the walk over the tree, for [`Tally`] to add up.
//!
//! The walk is done twice: first versions and their contents are counted, then the
//! chunks that the contents list, a range of their rows at a time, so that a vault of
//! any size is counted in bounded memory.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use rusqlite::{Row, params};

use super::SqliteCatalog;
use super::codec::unpack_chunks;
use super::namespace::standing_of;
use super::tally::{Chunk, Needs, TOTAL, Tally};
use crate::catalog::space::{SpaceQuery, SpaceReport, SpaceRows};
use crate::catalog::{Result, Standing};
use crate::model::{NodeId, ROOT, Timestamp};

/// Chunks looked at in one walk; some 50 bytes of memory each. Few in tests, where
/// nothing would need a second walk otherwise.
const CHUNKS_AT_ONCE: i64 = if cfg!(test) { 3 } else { 1 << 20 };

/// An asset of its own, or the assets directly in a directory.
#[derive(Debug, Clone, Copy)]
enum Place {
    Asset(NodeId),
    Directory(NodeId),
}

/// A part of the walk.
struct Stop {
    place: Place,
    /// The stop of the directory above.
    parent: usize,
    /// Levels below the directory that was asked for.
    level: u32,
}

macro_rules! assets_at {
    ($columns:literal, $joins:literal) => {
        assets_at!(concat $columns, $joins, "entry.parent = ?1 AND entry.kind = 1")
    };
    (one $columns:literal, $joins:literal) => {
        assets_at!(concat $columns, $joins, "entry.node = ?1")
    };
    (concat $columns:literal, $joins:literal, $where:literal) => {
        concat!(
            "SELECT entry.node, entry.claim, ", $columns, " FROM entry ", $joins, " WHERE ",
            $where, " AND entry.until = 9223372036854775807 ORDER BY entry.name"
        )
    };
}

/// Read for every directory: none of the four may sort or scan.
pub(super) const VERSIONS_IN: &str = assets_at!(
    "version.size, version.kept_at, version.content",
    "LEFT JOIN version ON version.asset = entry.node"
);
pub(super) const VERSIONS_OF: &str = assets_at!(one
    "version.size, version.kept_at, version.content",
    "LEFT JOIN version ON version.asset = entry.node"
);
pub(super) const LISTS_IN: &str = assets_at!(
    "version.kept_at, content.id, content.chunks",
    "CROSS JOIN version ON version.asset = entry.node
     CROSS JOIN content ON content.id = version.content"
);
pub(super) const LISTS_OF: &str = assets_at!(one
    "version.kept_at, content.id, content.chunks",
    "CROSS JOIN version ON version.asset = entry.node
     CROSS JOIN content ON content.id = version.content"
);

impl SqliteCatalog {
    pub(super) fn count_space(&self, query: &SpaceQuery) -> Result<SpaceReport> {
        // All statements see one state of the catalog.
        let _state = match self.connection.is_autocommit() {
            true => {
                let begun = self.connection.unchecked_transaction();
                Some(begun.map_err(|error| self.fail(error))?)
            }
            false => None,
        };
        let stops = self.stops(query)?;
        let heaviest = match query.rows {
            SpaceRows::Heaviest(count) => self.heaviest(&stops, count)?,
            _ => HashSet::new(),
        };
        let is_shown = |asset: NodeId, stop: &Stop| match (query.rows, stop.place) {
            (SpaceRows::Heaviest(_), _) => heaviest.contains(&asset),
            (_, Place::Asset(_)) => true,
            (SpaceRows::Assets { depth }, _) => stop.level < depth,
            (SpaceRows::Directories { .. }, _) => false,
        };
        let mut tally = Tally::new(&query.age_limits);
        let mut shown: HashMap<NodeId, u32> = HashMap::new();
        let mut rows: Vec<u32> = Vec::with_capacity(stops.len());
        for stop in &stops {
            let row = self.row_of(stop, query.rows, &rows, &mut tally)?;
            rows.push(row);
            self.count_versions(stop, row, &is_shown, &mut tally, &mut shown)?;
        }
        if query.directory != Some(ROOT) {
            self.look_elsewhere(&mut tally)?;
        }
        let end = self.chunks_end()?;
        for start in (0..end).step_by(CHUNKS_AT_ONCE as usize) {
            tally.begin_range(start..end.min(start + CHUNKS_AT_ONCE));
            for (stop, row) in stops.iter().zip(&rows) {
                self.count_chunks(stop, *row, &shown, &mut tally)?;
            }
            tally.end_range();
        }
        Ok(tally.report(query.rows))
    }

    /// The order of the walk: a directory before all that is below it, and that in one go.
    fn stops(&self, query: &SpaceQuery) -> Result<Vec<Stop>> {
        let mut stops: Vec<Stop> = Vec::new();
        stops.extend(query.asset.map(|node| Stop {
            place: Place::Asset(node),
            parent: 0,
            level: 0,
        }));
        let mut waiting: Vec<(NodeId, usize, u32)> = Vec::new();
        waiting.extend(query.directory.map(|node| (node, 0, 0)));
        while let Some((node, parent, level)) = waiting.pop() {
            let at = stops.len();
            stops.push(Stop {
                place: Place::Directory(node),
                parent,
                level,
            });
            // The last name first: what was added last is taken first.
            let below = self.many(
                "SELECT node FROM entry
                 WHERE parent = ?1 AND kind = 0 AND until = 9223372036854775807
                 ORDER BY name DESC",
                [node.0],
                |row| row.get(0).map(NodeId),
            )?;
            waiting.extend(below.into_iter().map(|node| (node, at, level + 1)));
        }
        Ok(stops)
    }

    /// The row of a directory, or the one that it counts in.
    fn row_of(
        &self,
        stop: &Stop,
        wanted: SpaceRows,
        rows: &[u32],
        tally: &mut Tally,
    ) -> Result<u32> {
        let (
            SpaceRows::Directories { depth } | SpaceRows::Assets { depth },
            Place::Directory(node),
        ) = (wanted, stop.place)
        else {
            return Ok(TOTAL);
        };
        if stop.level == 0 {
            return Ok(TOTAL);
        }
        let parent = rows[stop.parent];
        match stop.level <= depth {
            true => Ok(tally.row(parent, self.path(node)?.unwrap_or_default(), None)),
            false => Ok(parent),
        }
    }

    /// Hands each row of a statement on.
    fn each(
        &self,
        sql: &str,
        node: NodeId,
        mut visit: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let wrap = |error| self.fail(error);
        let mut statement = self.connection.prepare_cached(sql).map_err(wrap)?;
        let mut rows = statement.query(params![node.0]).map_err(wrap)?;
        while let Some(row) = rows.next().map_err(wrap)? {
            visit(row)?;
        }
        Ok(())
    }

    fn count_versions(
        &self,
        stop: &Stop,
        row_of_directory: u32,
        is_shown: &dyn Fn(NodeId, &Stop) -> bool,
        tally: &mut Tally,
        shown: &mut HashMap<NodeId, u32>,
    ) -> Result<()> {
        let (sql, node) = match stop.place {
            Place::Asset(node) => (VERSIONS_OF, node),
            Place::Directory(node) => (VERSIONS_IN, node),
        };
        let mut at = None;
        self.each(sql, node, |row| {
            let (asset, standing) = self.read(asset_from(row))?;
            let in_row = match at {
                Some((last, in_row)) if last == asset => in_row,
                _ => {
                    let mut in_row = row_of_directory;
                    if is_shown(asset, stop) {
                        let path = self.path(asset)?.unwrap_or_default();
                        in_row = tally.row(row_of_directory, path, Some(standing));
                        shown.insert(asset, in_row);
                    }
                    tally.asset(in_row, standing);
                    at = Some((asset, in_row));
                    in_row
                }
            };
            let size: Option<i64> = self.read(row.get(2))?;
            if let Some(size) = size {
                let kept_at = Timestamp::from_nanos(self.read(row.get(3))?);
                let content = self.read(row.get(4))?;
                tally.version(in_row, size.cast_unsigned(), kept_at, content);
            }
            Ok(())
        })
    }

    fn count_chunks(
        &self,
        stop: &Stop,
        row_of_directory: u32,
        shown: &HashMap<NodeId, u32>,
        tally: &mut Tally,
    ) -> Result<()> {
        self.each_list(stop, &mut |list| {
            let needs = Needs {
                row: shown.get(&list.asset).copied().unwrap_or(row_of_directory),
                standing: list.standing,
                kept_at: list.kept_at,
                content: list.content,
            };
            tally.needs(&needs, &list.chunks, &|id| self.load(id))
        })
    }

    /// The chunk list of each stored version at a stop, asset by asset.
    fn each_list(&self, stop: &Stop, visit: &mut dyn FnMut(&List) -> Result<()>) -> Result<()> {
        let (sql, node) = match stop.place {
            Place::Asset(node) => (LISTS_OF, node),
            Place::Directory(node) => (LISTS_IN, node),
        };
        self.each(sql, node, |row| {
            let (asset, standing) = self.read(asset_from(row))?;
            let content = self.read(row.get(3))?;
            let bytes = row.get_ref(4).and_then(|value| Ok(value.as_blob()?));
            let chunks = unpack_chunks(self.read(bytes)?)
                .ok_or_else(|| self.corrupt(format!("chunk list of content {content}")))?;
            visit(&List {
                asset,
                standing,
                kept_at: Timestamp::from_nanos(self.read(row.get(2))?),
                content,
                chunks,
            })
        })
    }

    /// The assets with the most stored bytes.
    fn heaviest(&self, stops: &[Stop], count: usize) -> Result<HashSet<NodeId>> {
        // The least of them on top; of equals, the one that was known last.
        let mut most: BinaryHeap<Reverse<(u64, Reverse<NodeId>)>> = BinaryHeap::new();
        let mut weigh = |asset: Option<NodeId>, bytes: u64| {
            if let (Some(asset), 1..) = (asset, bytes) {
                most.push(Reverse((bytes, Reverse(asset))));
                if most.len() > count {
                    most.pop();
                }
            }
        };
        for stop in stops {
            let (mut at, mut bytes, mut met) = (None, 0, HashSet::new());
            self.each_list(stop, &mut |list| {
                if at != Some(list.asset) {
                    weigh(at, bytes);
                    (at, bytes) = (Some(list.asset), 0);
                    met.clear();
                }
                for chunk in &list.chunks {
                    if met.insert(*chunk) {
                        bytes += u64::from(self.load(*chunk)?.stored_bytes);
                    }
                }
                Ok(())
            })?;
            weigh(at, bytes);
        }
        Ok(most
            .into_iter()
            .map(|Reverse((_, Reverse(asset)))| asset)
            .collect())
    }

    /// Finds the contents that versions outside the walk have, too.
    fn look_elsewhere(&self, tally: &mut Tally) -> Result<()> {
        for (id, content) in &mut tally.contents {
            let all: Option<i64> = self.one(
                "SELECT count(*) FROM version WHERE content = ?1",
                [*id],
                |row| row.get(0),
            )?;
            content.elsewhere = all != Some(i64::from(content.versions));
        }
        Ok(())
    }

    /// One more than the greatest row of a chunk.
    fn chunks_end(&self) -> Result<i64> {
        let last = self.one("SELECT coalesce(max(id), 0) FROM chunk", [], |row| {
            row.get::<_, i64>(0)
        })?;
        Ok(last.unwrap_or(0) + 1)
    }

    fn load(&self, chunk: i64) -> Result<Chunk> {
        self.one(
            "SELECT stored_bytes, plain_bytes, refs FROM chunk WHERE id = ?1",
            [chunk],
            |row| Ok(Chunk::new(row.get(0)?, row.get(1)?, row.get(2)?)),
        )?
        .ok_or_else(|| self.corrupt(format!("a content lists no chunk {chunk}")))
    }

    fn read<T>(&self, value: rusqlite::Result<T>) -> Result<T> {
        value.map_err(|error| self.fail(error))
    }
}

/// What a stored version needs.
struct List {
    asset: NodeId,
    standing: Standing,
    kept_at: Timestamp,
    content: i64,
    chunks: Vec<i64>,
}

fn asset_from(row: &Row<'_>) -> rusqlite::Result<(NodeId, Standing)> {
    Ok((NodeId(row.get(0)?), standing_of(row.get(1)?)))
}
