-- The index of the journal. Everything here is made from its records and can be made again.
-- The first record that is in it, and the last with its hash.
CREATE TABLE reached (first INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
INSERT INTO reached VALUES (0, 0, zeroblob(32));

-- Every value of every named column once, with how many records have it: what the search plans by. Kept: it has bits.
CREATE TABLE term (
  id   INTEGER PRIMARY KEY,
  word INTEGER NOT NULL,
  text TEXT    NOT NULL,
  uses INTEGER NOT NULL DEFAULT 0,
  kept INTEGER NOT NULL DEFAULT 0,
  UNIQUE (word, text)
) STRICT;
CREATE INDEX term_kept ON term (kept) WHERE kept = 1;

-- One row for each record; columns hold ids of terms.
CREATE TABLE entry (
  position INTEGER PRIMARY KEY,
  playbook INTEGER, run INTEGER, service INTEGER, actor INTEGER, via INTEGER,
  action   INTEGER, object INTEGER, target INTEGER, result INTEGER, source INTEGER
) STRICT;
CREATE INDEX entry_playbook ON entry (playbook) WHERE playbook IS NOT NULL;
CREATE INDEX entry_run ON entry (run) WHERE run IS NOT NULL;
CREATE INDEX entry_service ON entry (service) WHERE service IS NOT NULL;
CREATE INDEX entry_actor ON entry (actor) WHERE actor IS NOT NULL;
CREATE INDEX entry_via ON entry (via) WHERE via IS NOT NULL;
CREATE INDEX entry_action ON entry (action) WHERE action IS NOT NULL;
CREATE INDEX entry_object ON entry (object) WHERE object IS NOT NULL;
CREATE INDEX entry_target ON entry (target) WHERE target IS NOT NULL;
CREATE INDEX entry_result ON entry (result) WHERE result IS NOT NULL;
CREATE INDEX entry_source ON entry (source) WHERE source IS NOT NULL;

-- Which records of a block have a frequent value, or any value of a column. `bitmap.rs` has the key and the bits.
CREATE TABLE bitmap (at INTEGER PRIMARY KEY, bits BLOB NOT NULL) STRICT;

-- Sentences and labels are in tables of their own, one for each segment of positions, made when the first record of it
-- comes; the text itself is in the journal.
