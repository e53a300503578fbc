-- What the journal in the store has not heard of yet: which rows were changed, see
-- changed_rows.rs. One row a commit.
CREATE TABLE unpublished (
  id   INTEGER PRIMARY KEY,
  rows BLOB NOT NULL
) STRICT;

-- One row: how far the journal in the store is. format: that of this catalog when the
-- last snapshot was written, 0: there is none. number: of the next object. last_group:
-- of the objects before it.
CREATE TABLE journal (
  one            INTEGER PRIMARY KEY CHECK (one = 1),
  fence          INTEGER NOT NULL,
  number         INTEGER NOT NULL,
  last_group     INTEGER NOT NULL,
  format         INTEGER NOT NULL,
  snapshot_bytes INTEGER NOT NULL,
  change_bytes   INTEGER NOT NULL
) STRICT;

INSERT INTO journal VALUES (1, 0, 0, 0, 0, 0, 0);
