-- Plans as people were shown them, to be shared and run by name for as long as they are valid. Not history: the run
-- that a plan opens has the plan's name, so that the journal itself lets each be used once.
CREATE TABLE plan (
  id       TEXT PRIMARY KEY,
  digest   TEXT    NOT NULL,
  made     INTEGER NOT NULL,
  document TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
