//! Adding up what a walk over the tree meets: rows, contents, chunks. No SQL.
//!
//! A chunk is counted once for each row without a set for each row. Rows are numbered
//! in the order of the walk: whatever was met in a row of a greater number than the one
//! being walked through lies in it. So the row where a chunk was met last tells which
//! rows have it already.

use std::collections::HashMap;
use std::ops::Range;

use crate::catalog::space::{AgeSpace, Space, SpaceReport, SpaceRow, SpaceRows, age_of, sort};
use crate::catalog::{Result, Standing};
use crate::model::{PublicId, Timestamp};

/// Everything that was asked for.
pub(super) const TOTAL: u32 = 0;

/// The sums of one walk.
pub(super) struct Tally {
    limits: Vec<Timestamp>,
    ages: Vec<AgeSpace>,
    rows: Vec<Row>,
    pub contents: HashMap<i64, Content>,
    /// The chunks of the range at hand, as far as they were met.
    chunks: Vec<Option<Chunk>>,
    range: Range<i64>,
    ranges: u32,
}

struct Row {
    parent: u32,
    /// `None`: the total.
    shown: Option<(PublicId, Option<Standing>)>,
    /// Until the report without the rows below, but for the stored bytes.
    space: Space,
    /// Stored bytes of the chunks of live assets.
    live_bytes: u64,
}

/// A content that a version here has.
pub(super) struct Content {
    /// Versions met that have it.
    pub versions: u32,
    /// The innermost row that holds all of them.
    home: u32,
    /// The number of the range in which its list was last counted.
    listed_in: u32,
    /// Whether versions elsewhere have it, too.
    pub elsewhere: bool,
}

/// A chunk, and where it was met so far.
pub(super) struct Chunk {
    pub stored_bytes: u32,
    pub plain_bytes: u32,
    /// References to it that no content met so far explains.
    pub refs: i64,
    /// The rows in which it was met last: in any asset, and in a live one.
    met: Option<u32>,
    met_live: Option<u32>,
    /// The innermost row that holds all contents met that list it.
    home: Option<u32>,
    /// The oldest age of the versions that need it.
    age: u32,
}

impl Chunk {
    pub fn new(stored_bytes: u32, plain_bytes: u32, refs: i64) -> Self {
        Self {
            stored_bytes,
            plain_bytes,
            refs,
            met: None,
            met_live: None,
            home: None,
            age: 0,
        }
    }
}

/// A version, as far as its chunks are concerned.
pub(super) struct Needs {
    pub row: u32,
    pub standing: Standing,
    pub kept_at: Timestamp,
    pub content: i64,
}

impl Tally {
    pub fn new(limits: &[Timestamp]) -> Self {
        let total = Row {
            parent: TOTAL,
            shown: None,
            space: Space::default(),
            live_bytes: 0,
        };
        Self {
            limits: limits.to_vec(),
            ages: vec![AgeSpace::default(); limits.len() + 1],
            rows: vec![total],
            contents: HashMap::new(),
            chunks: Vec::new(),
            range: 0..0,
            ranges: 0,
        }
    }

    /// A row below `parent`, which is still being walked.
    pub fn row(&mut self, parent: u32, path: PublicId, asset: Option<Standing>) -> u32 {
        self.rows.push(Row {
            parent,
            shown: Some((path, asset)),
            space: Space::default(),
            live_bytes: 0,
        });
        (self.rows.len() - 1) as u32
    }

    fn at(&mut self, row: u32) -> &mut Row {
        &mut self.rows[row as usize]
    }

    /// The innermost row that holds both.
    fn common(&self, mut a: u32, mut b: u32) -> u32 {
        while a != b {
            let inner = if a > b { &mut a } else { &mut b };
            *inner = self.rows[*inner as usize].parent;
        }
        a
    }

    pub fn asset(&mut self, row: u32, standing: Standing) {
        let space = &mut self.at(row).space;
        space.assets += 1;
        space.assets_deleted += u64::from(standing == Standing::Deleted);
    }

    /// `content`: `None` while it is sealed.
    pub fn version(&mut self, row: u32, size: u64, kept_at: Timestamp, content: Option<i64>) {
        let age = age_of(kept_at, &self.limits);
        self.ages[age].versions += 1;
        self.ages[age].logical_bytes += size;
        let space = &mut self.at(row).space;
        space.versions += 1;
        space.logical_bytes += size;
        let Some(content) = content else {
            space.versions_sealed += 1;
            return;
        };
        let before = self.contents.get(&content).map_or(row, |known| known.home);
        let home = self.common(before, row);
        let known = self.contents.entry(content).or_insert(Content {
            versions: 0,
            home,
            listed_in: 0,
            elsewhere: false,
        });
        known.versions += 1;
        known.home = home;
    }

    /// What [`needs`](Self::needs) hears next is about the chunks of these rows.
    pub fn begin_range(&mut self, range: Range<i64>) {
        let length = usize::try_from(range.end - range.start).unwrap_or(0);
        self.chunks.resize_with(length, || None);
        self.range = range;
        self.ranges += 1;
    }

    /// Where a chunk of the range stands.
    fn place(&self, chunk: i64) -> Option<usize> {
        match self.range.contains(&chunk) {
            true => usize::try_from(chunk - self.range.start).ok(),
            false => None,
        }
    }

    /// A version needs the chunks in the list. `load` finds one that was not met before.
    pub fn needs(
        &mut self,
        version: &Needs,
        list: &[i64],
        load: &dyn Fn(i64) -> Result<Chunk>,
    ) -> Result<()> {
        let age = age_of(version.kept_at, &self.limits) as u32;
        let explained_at = self.explain(version.content);
        for id in list {
            let Some(place) = self.place(*id) else {
                continue;
            };
            let mut chunk = match self.chunks[place].take() {
                Some(chunk) => chunk,
                None => load(*id)?,
            };
            let bytes = u64::from(chunk.stored_bytes);
            self.meet(version.row, chunk.met, |row| {
                row.space.stored_bytes += bytes;
            });
            chunk.met = Some(version.row);
            if version.standing == Standing::Live {
                self.meet(version.row, chunk.met_live, |row| row.live_bytes += bytes);
                chunk.met_live = Some(version.row);
            }
            if let Some(home) = explained_at {
                chunk.refs -= 1;
                chunk.home = Some(match chunk.home {
                    Some(before) => self.common(before, home),
                    None => home,
                });
            }
            chunk.age = chunk.age.max(age);
            self.chunks[place] = Some(chunk);
        }
        Ok(())
    }

    /// Where all versions of a content are, at the first of them in each range. What is
    /// listed by a content that is used elsewhere stays unexplained: unique to no row.
    fn explain(&mut self, content: i64) -> Option<u32> {
        let range = self.ranges;
        let content = self.contents.get_mut(&content)?;
        let first = std::mem::replace(&mut content.listed_in, range) != range;
        (first && !content.elsewhere).then_some(content.home)
    }

    /// Adds to a row and those above it, as far as they do not hold `last` already.
    fn meet(&mut self, row: u32, last: Option<u32>, add: impl Fn(&mut Row)) {
        let mut at = row;
        while last.is_none_or(|last| last < at) {
            add(self.at(at));
            if at == TOTAL {
                break;
            }
            at = self.at(at).parent;
        }
    }

    /// All versions have said what they need of the range.
    pub fn end_range(&mut self) {
        for chunk in std::mem::take(&mut self.chunks).into_iter().flatten() {
            self.ages[chunk.age as usize].stored_bytes += u64::from(chunk.stored_bytes);
            if let (0, Some(home)) = (chunk.refs, chunk.home) {
                self.at(home).space.unique_bytes += u64::from(chunk.plain_bytes);
            }
        }
    }

    pub fn report(mut self, wanted: SpaceRows) -> SpaceReport {
        for index in (1..self.rows.len()).rev() {
            let below = self.rows[index].space;
            let parent = self.rows[index].parent;
            let space = &mut self.at(parent).space;
            space.assets += below.assets;
            space.assets_deleted += below.assets_deleted;
            space.versions += below.versions;
            space.versions_sealed += below.versions_sealed;
            space.logical_bytes += below.logical_bytes;
            space.unique_bytes += below.unique_bytes;
        }
        let mut report = SpaceReport {
            ages: self.ages,
            ..SpaceReport::default()
        };
        for row in self.rows {
            let space = Space {
                deleted_bytes: row.space.stored_bytes - row.live_bytes,
                ..row.space
            };
            match row.shown {
                None => report.total = space,
                Some((path, asset)) if space.assets > 0 => {
                    report.rows.push(SpaceRow { path, asset, space });
                }
                Some(_) => {}
            }
        }
        sort(&mut report.rows, wanted);
        report
    }
}
