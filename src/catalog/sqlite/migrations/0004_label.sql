-- Tags and context of assets, in their text forms. Apart from asset, because few have any.
CREATE TABLE label (
  asset   INTEGER PRIMARY KEY,
  tags    TEXT NOT NULL,
  context TEXT NOT NULL
) STRICT;
