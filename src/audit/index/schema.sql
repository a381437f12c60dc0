-- The index of the journal. Everything here is made from its records and can be made again.
-- The first record that is in it, and the last with its hash.
CREATE TABLE reached (first INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
INSERT INTO reached VALUES (0, 0, zeroblob(32));

-- Every value of every named column once, with how many records have it: what the search plans by.
CREATE TABLE term (
  id   INTEGER PRIMARY KEY,
  word INTEGER NOT NULL,
  text TEXT    NOT NULL,
  uses INTEGER NOT NULL,
  UNIQUE (word, text)
) STRICT;

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

-- Sentences and labels; the text itself is in the journal. In two halves, so that two cores look for words: blocks of 512
-- positions in turn.
CREATE VIRTUAL TABLE words_0 USING fts5 (text, content = '', tokenize = 'unicode61');
CREATE VIRTUAL TABLE words_1 USING fts5 (text, content = '', tokenize = 'unicode61');
