-- The first format. Times are nanoseconds since 1970; u64 values are stored as the
-- signed integer with the same bits; 9223372036854775807 in "until" means "still so".

-- One row: what would otherwise need a count over everything, and the catalog's clock.
CREATE TABLE state (
  one             INTEGER PRIMARY KEY CHECK (one = 1),
  clock           INTEGER NOT NULL,
  next_node       INTEGER NOT NULL,
  assets_live     INTEGER NOT NULL,
  assets_deleted  INTEGER NOT NULL,
  versions        INTEGER NOT NULL,
  versions_sealed INTEGER NOT NULL,
  sealed_bytes    INTEGER NOT NULL,
  logical_bytes   INTEGER NOT NULL,
  unique_bytes    INTEGER NOT NULL,
  pack_bytes      INTEGER NOT NULL,
  packs           INTEGER NOT NULL,
  -- Written under synchronous=FULL to make earlier commits durable.
  flushes         INTEGER NOT NULL
) STRICT;

INSERT INTO state VALUES (1, -9223372036854775808, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE setting (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The namespace ---------------------------------------------------------------

-- Who had which name, and when: the one truth about names. kind: 0 directory,
-- 1 asset. claim: 1 it is there, 0 the asset was deleted and its name is reserved.
CREATE TABLE entry (
  id     INTEGER PRIMARY KEY,
  parent INTEGER NOT NULL,
  name   BLOB    NOT NULL,
  node   INTEGER NOT NULL,
  kind   INTEGER NOT NULL,
  claim  INTEGER NOT NULL,
  since  INTEGER NOT NULL,
  until  INTEGER NOT NULL
) STRICT;

-- At most one directory and one asset claim per name; and the order of listings.
CREATE UNIQUE INDEX entry_now ON entry (parent, name, kind) WHERE until = 9223372036854775807;
CREATE UNIQUE INDEX entry_of_node ON entry (node) WHERE until = 9223372036854775807;
CREATE INDEX entry_past ON entry (parent, until) WHERE until < 9223372036854775807;

-- assets, deleted: claims directly in it, plus known directories directly in it
-- that have any themselves.
CREATE TABLE directory (
  node    INTEGER PRIMARY KEY,
  mode    INTEGER NOT NULL,
  uid     INTEGER NOT NULL,
  gid     INTEGER NOT NULL,
  mtime   INTEGER NOT NULL,
  backup  TEXT,
  assets  INTEGER NOT NULL,
  deleted INTEGER NOT NULL
) STRICT;

INSERT INTO directory VALUES (1, 493, 0, 0, 0, NULL, 0, 0);

-- The columns from dev on are the live file as last seen: all NULL, or none; but mode,
-- uid, gid and mtime stay when the file is gone.
CREATE TABLE asset (
  node     INTEGER PRIMARY KEY,
  asset_id BLOB NOT NULL,
  dev      INTEGER,
  ino      INTEGER,
  nlink    INTEGER,
  size     INTEGER,
  mode     INTEGER,
  uid      INTEGER,
  gid      INTEGER,
  mtime    INTEGER,
  ctime    INTEGER
) STRICT;

CREATE UNIQUE INDEX asset_by_id ON asset (asset_id);
CREATE INDEX asset_on_inode ON asset (dev, ino) WHERE dev IS NOT NULL;

-- Versions --------------------------------------------------------------------

-- content is NULL exactly while the version has a row in sealed.
CREATE TABLE version (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT,
  asset         INTEGER NOT NULL,
  id            BLOB    NOT NULL,
  size          INTEGER NOT NULL,
  mode          INTEGER NOT NULL,
  uid           INTEGER NOT NULL,
  gid           INTEGER NOT NULL,
  mtime         INTEGER NOT NULL,
  xattrs        BLOB,
  kept_at       INTEGER NOT NULL,
  origin        TEXT    NOT NULL,
  restored_from BLOB,
  content       INTEGER
) STRICT;

CREATE UNIQUE INDEX version_by_id ON version (id);
CREATE UNIQUE INDEX version_of_asset ON version (asset, id);
-- Begins with the content: the one index tells who uses it, and when an asset last had it.
CREATE INDEX version_of_content ON version (content, asset, id) WHERE content IS NOT NULL;

-- What is known of versions whose bytes are not in a pack yet. Apart from version,
-- because it is short-lived and as wide again. location: 0 live, 1 spool link, 2 spool copy.
CREATE TABLE sealed (
  seq      INTEGER PRIMARY KEY,
  kept_at  INTEGER NOT NULL,
  location INTEGER NOT NULL,
  dev      INTEGER NOT NULL,
  ino      INTEGER NOT NULL,
  nlink    INTEGER NOT NULL,
  size     INTEGER NOT NULL,
  mode     INTEGER NOT NULL,
  uid      INTEGER NOT NULL,
  gid      INTEGER NOT NULL,
  mtime    INTEGER NOT NULL,
  ctime    INTEGER NOT NULL
) STRICT;

CREATE INDEX sealed_on_inode ON sealed (dev, ino) WHERE location < 2;
CREATE INDEX sealed_by_time ON sealed (kept_at);

-- Contents, chunks, packs -----------------------------------------------------

-- chunks: the rows of the chunks in order, see codec.rs.
CREATE TABLE content (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  blake3 BLOB    NOT NULL,
  size   INTEGER NOT NULL,
  chunks BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX content_by_hash ON content (blake3, size);

-- refs: how often contents list it. codec: 0 plain, 1 zstd.
CREATE TABLE chunk (
  id           INTEGER PRIMARY KEY,
  hash         BLOB    NOT NULL,
  pack         INTEGER NOT NULL,
  offset       INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  plain_bytes  INTEGER NOT NULL,
  codec        INTEGER NOT NULL,
  refs         INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX chunk_by_hash ON chunk (hash);
CREATE INDEX chunk_in_pack ON chunk (pack, offset);

-- state: 0 open, 1 stored. live_bytes, dead_bytes: stored bytes of its chunks with
-- and without references.
CREATE TABLE pack (
  id         INTEGER PRIMARY KEY,
  name       BLOB    NOT NULL,
  state      INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  live_bytes INTEGER NOT NULL,
  dead_bytes INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX pack_by_name ON pack (name);
CREATE INDEX pack_open ON pack (state) WHERE state = 0;
