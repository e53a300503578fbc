-- Versions that are kept on purpose. Apart from version, because few are.
CREATE TABLE hold (
  seq INTEGER PRIMARY KEY
) STRICT;
