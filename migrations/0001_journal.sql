-- The journal: every record, in one chain. `hash` covers all other columns and the hash before.
CREATE TABLE record (
  position INTEGER PRIMARY KEY,
  stream   TEXT    NOT NULL,
  seq      INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  kind     TEXT    NOT NULL,
  version  INTEGER NOT NULL,
  body     BLOB    NOT NULL,
  hash     BLOB    NOT NULL CHECK (length(hash) = 32),
  UNIQUE (stream, seq)
) STRICT;

CREATE TRIGGER record_is_append_only_update BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: records are never changed'); END;

CREATE TRIGGER record_is_append_only_delete BEFORE DELETE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: records are never removed'); END;

-- Also stops INSERT OR REPLACE, which removes rows without asking the trigger above.
CREATE TRIGGER record_has_no_gaps BEFORE INSERT ON record
WHEN NEW.position <> (SELECT coalesce(max(position), 0) + 1 FROM record)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: the next record goes to the end'); END;

-- Cache: the fold of a stream, for lists. Rebuilt from the records.
CREATE TABLE summary (
  stream   TEXT    PRIMARY KEY,
  value    TEXT    NOT NULL,
  position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX summary_newest ON summary (position DESC, stream);

-- Cache: who holds what. Rebuilt from the runs.
CREATE TABLE lock (
  key TEXT PRIMARY KEY,
  run TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Cache: the fencing number of each service.
CREATE TABLE epoch (
  service TEXT    PRIMARY KEY,
  epoch   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where each reader of the journal has got to.
CREATE TABLE cursor (
  name     TEXT    PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Raw deliveries and playbook texts, by SHA-256; the chain holds the digest.
CREATE TABLE content (
  digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
  bytes  BLOB NOT NULL
) STRICT;
