-- Links that one person was sent, to say one word about one plan of one run. Only the SHA-256 of what the link carries is kept.
-- Whether one was used is no column: the word that it gave stands in the run's records.
CREATE TABLE approval_link (
  hash    BLOB PRIMARY KEY CHECK (length(hash) = 32),
  person  TEXT    NOT NULL,
  run     TEXT    NOT NULL,
  digest  TEXT    NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
