//! Versions: the rows of `version`, and of `sealed` while the bytes are on their way.
//!
//! A version is sealed exactly as long as it has no content and a row in `sealed`.
//! Lists are in the order of the version ids, which is the order of time.

use rusqlite::{Params, Row};

use super::codec::{pack_xattrs, unpack_xattrs};
use super::listing::{attributes_from, file_from, file_values};
use super::namespace::require_one;
use super::transaction::values;
use super::{SqliteCatalog, invariant};
use crate::catalog::{NodeKind, Result};
use crate::model::{
    Attributes, ChunkHash, ContentId, InodeKey, Location, NodeId, Origin, Timestamp, Version,
    VersionId, VersionSeq, VersionState,
};

macro_rules! select_version {
    (where $rest:literal) => {
        select_version!(concat
            "FROM version v LEFT JOIN content c ON c.id = v.content
             LEFT JOIN sealed s ON s.seq = v.seq WHERE ", $rest)
    };
    (sealed $rest:literal) => {
        select_version!(concat
            "FROM sealed s CROSS JOIN version v ON v.seq = s.seq
             LEFT JOIN content c ON c.id = v.content WHERE ", $rest)
    };
    (concat $from:literal, $rest:literal) => {
        concat!("SELECT ", version_columns!(), " ", $from, $rest)
    };
}

/// What [`version_from`] reads, of `version v`, `content c` and `sealed s`.
macro_rules! version_columns {
    () => {
        "v.seq, v.asset, v.id, v.size, v.mode, v.uid, v.gid, v.mtime, v.xattrs, v.kept_at,
         v.origin, v.restored_from, v.content, c.blake3, s.dev, s.ino, s.nlink, s.size, s.mode,
         s.uid, s.gid, s.mtime, s.ctime, s.location"
    };
}
pub(super) use version_columns;

/// The first column behind those.
pub(super) const VERSION_COLUMNS: usize = 24;
/// The one that names the content.
pub(super) const CONTENT_COLUMN: usize = 12;

/// Asked at each ingest: both must cost the same however long the history is.
pub(super) const BEFORE: &str =
    select_version!(where "v.asset = ?1 AND v.id < ?2 ORDER BY v.id DESC LIMIT 1");
pub(super) const WITH_CONTENT: &str =
    "SELECT id FROM version WHERE content = ?1 AND asset = ?2 AND id < ?3
     ORDER BY id DESC LIMIT 1";

impl SqliteCatalog {
    pub(super) fn insert_version(&mut self, version: &Version) -> Result<VersionSeq> {
        let content = match &version.state {
            VersionState::Sealed { .. } => None,
            VersionState::Stored { content, blake3 } => {
                self.require_content(*content, blake3)?;
                Some(content.0)
            }
        };
        let a = &version.attributes;
        // An asset that is not known is NULL here, which the table refuses.
        let seq = self.insert(
            "INSERT INTO version (asset, id, size, mode, uid, gid, mtime, xattrs, kept_at,
                                  origin, restored_from, content)
             VALUES ((SELECT node FROM entry
                      WHERE node = ?1 AND kind = 1 AND until = 9223372036854775807),
                     ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            values![
                version.asset.0,
                version.id.0.to_vec(),
                version.size.cast_signed(),
                a.mode,
                a.uid,
                a.gid,
                a.mtime.nanos(),
                pack_xattrs(&version.xattrs),
                version.kept_at.nanos(),
                version.origin.as_str().to_owned(),
                version.restored_from.map(|id| id.0.to_vec()),
                content,
            ],
        )?;
        if let VersionState::Sealed { file, location } = &version.state {
            let mut values = values![seq, version.kept_at.nanos(), location_number(*location)];
            values.extend(file_values(file));
            self.write(
                "INSERT INTO sealed (seq, kept_at, location, dev, ino, nlink, size, mode, uid,
                                     gid, mtime, ctime)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                values,
            )?;
            self.state.versions_sealed += 1;
            self.add_sealed_bytes(version.size, 1);
        }
        self.state.versions += 1;
        self.add_logical_bytes(version.size, 1);
        Ok(VersionSeq(seq))
    }

    fn add_sealed_bytes(&mut self, size: u64, times: i64) {
        let bytes = size.cast_signed().wrapping_mul(times);
        self.state.sealed_bytes = self.state.sealed_bytes.wrapping_add(bytes);
    }

    fn add_logical_bytes(&mut self, size: u64, times: i64) {
        let bytes = size.cast_signed().wrapping_mul(times);
        self.state.logical_bytes = self.state.logical_bytes.wrapping_add(bytes);
    }

    pub(super) fn find_version(&self, seq: VersionSeq) -> Result<Option<Version>> {
        self.select_one(select_version!(where "v.seq = ?1"), [seq.0])
    }

    pub(super) fn find_version_id(&self, asset: NodeId, id: VersionId) -> Result<Option<Version>> {
        self.select_one(
            select_version!(where "v.asset = ?1 AND v.id = ?2"),
            (asset.0, &id.0[..]),
        )
    }

    pub(super) fn ids_of(&self, asset: NodeId) -> Result<Vec<(VersionId, VersionSeq)>> {
        self.many(
            "SELECT id, seq FROM version WHERE asset = ?1 ORDER BY id",
            [asset.0],
            |row| Ok((VersionId(row.get(0)?), VersionSeq(row.get(1)?))),
        )
    }

    pub(super) fn versions_of(&self, asset: NodeId) -> Result<Vec<Version>> {
        self.select(
            select_version!(where "v.asset = ?1 ORDER BY v.id"),
            [asset.0],
        )
    }

    pub(super) fn latest_of(&self, asset: NodeId, count: usize) -> Result<Vec<Version>> {
        self.select(
            select_version!(where "v.asset = ?1 ORDER BY v.id DESC LIMIT ?2"),
            [asset.0, i64::try_from(count).unwrap_or(i64::MAX)],
        )
    }

    pub(super) fn find_before(&self, asset: NodeId, id: VersionId) -> Result<Option<Version>> {
        self.select_one(BEFORE, (asset.0, &id.0[..]))
    }

    pub(super) fn sealed_after(&self, after: VersionSeq, limit: usize) -> Result<Vec<Version>> {
        self.select(
            select_version!(sealed "s.seq > ?1 ORDER BY s.seq LIMIT ?2"),
            [after.0, i64::try_from(limit).unwrap_or(i64::MAX)],
        )
    }

    pub(super) fn sealed_in(&self, inode: InodeKey) -> Result<Vec<Version>> {
        self.select(
            select_version!(sealed "s.dev = ?1 AND s.ino = ?2 AND s.location < 2 ORDER BY s.seq"),
            [inode.dev.cast_signed(), inode.ino.cast_signed()],
        )
    }

    pub(super) fn write_location(&mut self, seq: VersionSeq, location: Location) -> Result<()> {
        let rows = self.write(
            "UPDATE sealed SET location = ?2 WHERE seq = ?1",
            values![seq.0, location_number(location)],
        )?;
        require_one(rows, "sealed version", seq.0)
    }

    pub(super) fn write_stored(
        &mut self,
        seq: VersionSeq,
        content: ContentId,
        blake3: ChunkHash,
    ) -> Result<()> {
        self.require_content(content, &blake3)?;
        let size = self.one("SELECT size FROM version WHERE seq = ?1", [seq.0], |row| {
            row.get::<_, i64>(0)
        })?;
        let Some(size) = size else {
            return invariant(format!("no version {}", seq.0));
        };
        self.write(
            "UPDATE version SET content = ?2 WHERE seq = ?1",
            values![seq.0, content.0],
        )?;
        self.drop_sealed(seq, size.cast_unsigned())
    }

    fn drop_sealed(&mut self, seq: VersionSeq, size: u64) -> Result<()> {
        let rows = self.write("DELETE FROM sealed WHERE seq = ?1", values![seq.0])?;
        require_one(rows, "sealed version", seq.0)?;
        self.state.versions_sealed -= 1;
        self.add_sealed_bytes(size, -1);
        Ok(())
    }

    pub(super) fn write_origin(
        &mut self,
        seq: VersionSeq,
        origin: Origin,
        restored_from: Option<VersionId>,
    ) -> Result<()> {
        let rows = self.write(
            "UPDATE version SET origin = ?2, restored_from = ?3 WHERE seq = ?1",
            values![
                seq.0,
                origin.as_str().to_owned(),
                restored_from.map(|id| id.0.to_vec())
            ],
        )?;
        require_one(rows, "version", seq.0)
    }

    pub(super) fn change_asset(
        &mut self,
        seq: VersionSeq,
        to: NodeId,
        id: VersionId,
    ) -> Result<()> {
        self.entry_of(to, NodeKind::Asset)?;
        let rows = self.write(
            "UPDATE version SET asset = ?2, id = ?3 WHERE seq = ?1",
            values![seq.0, to.0, id.0.to_vec()],
        )?;
        require_one(rows, "version", seq.0)
    }

    pub(super) fn find_by_content(
        &self,
        asset: NodeId,
        content: ContentId,
        below: VersionId,
    ) -> Result<Option<VersionId>> {
        self.one(WITH_CONTENT, (content.0, asset.0, below.0), |row| {
            row.get(0).map(VersionId)
        })
    }

    pub(super) fn drop_version(&mut self, seq: VersionSeq) -> Result<()> {
        let Some(version) = self.find_version(seq)? else {
            return invariant(format!("no version {}", seq.0));
        };
        let content = match version.state {
            VersionState::Sealed { .. } => {
                self.drop_sealed(seq, version.size)?;
                None
            }
            VersionState::Stored { content, .. } => Some(content),
        };
        self.write("DELETE FROM version WHERE seq = ?1", values![seq.0])?;
        if self.find_hold(seq)? {
            self.drop_hold(seq)?;
        }
        self.state.versions -= 1;
        self.add_logical_bytes(version.size, -1);
        match content {
            Some(content) => self.drop_content_if_unused(content),
            None => Ok(()),
        }
    }

    pub(super) fn greatest_id(&self) -> Result<Option<VersionId>> {
        self.one(
            "SELECT id FROM version ORDER BY id DESC LIMIT 1",
            [],
            |row| Ok(VersionId(row.get(0)?)),
        )
    }

    pub(super) fn least_id_from(&self, id: VersionId) -> Result<Option<VersionId>> {
        self.one(
            "SELECT id FROM version WHERE id >= ?1 ORDER BY id LIMIT 1",
            [&id.0[..]],
            |row| Ok(VersionId(row.get(0)?)),
        )
    }

    fn select_one(&self, sql: &str, params: impl Params) -> Result<Option<Version>> {
        self.one(sql, params, |row| Ok(version_from(row)))?
            .map(|read| self.readable(read))
            .transpose()
    }

    fn select(&self, sql: &str, params: impl Params) -> Result<Vec<Version>> {
        self.many(sql, params, |row| Ok(version_from(row)))?
            .into_iter()
            .map(|read| self.readable(read))
            .collect()
    }

    pub(super) fn readable(&self, read: rusqlite::Result<Option<Version>>) -> Result<Version> {
        match read {
            Ok(Some(version)) => Ok(version),
            Ok(None) => Err(self.corrupt("a version that makes no sense")),
            Err(error) => Err(self.fail(error)),
        }
    }
}

/// A version from the columns of `select_version!`; `None` when they contradict each other.
pub(super) fn version_from(row: &Row<'_>) -> rusqlite::Result<Option<Version>> {
    let content: Option<i64> = row.get(CONTENT_COLUMN)?;
    let location: Option<i64> = row.get(23)?;
    let state = match (content, location) {
        (Some(content), None) => VersionState::Stored {
            content: ContentId(content),
            blake3: ChunkHash(row.get(13)?),
        },
        (None, Some(location)) => VersionState::Sealed {
            file: file_from(row, 14)?,
            location: match location {
                0 => Location::Live,
                1 => Location::SpoolLink,
                _ => Location::SpoolCopy,
            },
        },
        _ => return Ok(None),
    };
    let xattrs = match row.get_ref(8)?.as_blob_or_null()? {
        Some(bytes) => unpack_xattrs(bytes),
        None => Some(Vec::new()),
    };
    let origin = Origin::from_word(row.get_ref(10)?.as_str()?);
    let (Some(xattrs), Some(origin)) = (xattrs, origin) else {
        return Ok(None);
    };
    let attributes: Attributes = attributes_from(row, 4)?;
    Ok(Some(Version {
        seq: VersionSeq(row.get(0)?),
        asset: NodeId(row.get(1)?),
        id: VersionId(row.get(2)?),
        size: row.get::<_, i64>(3)?.cast_unsigned(),
        attributes,
        xattrs,
        kept_at: Timestamp::from_nanos(row.get(9)?),
        origin,
        restored_from: row.get::<_, Option<[u8; 16]>>(11)?.map(VersionId),
        state,
    }))
}

fn location_number(location: Location) -> i64 {
    match location {
        Location::Live => 0,
        Location::SpoolLink => 1,
        Location::SpoolCopy => 2,
    }
}
