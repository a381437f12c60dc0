-- How far each channel of notices has got in the journal: every record up to here was told, skipped, or is not for it.
CREATE TABLE notice_cursor (
  channel  TEXT PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Records beyond that which were told already: runs do not wait for each other.
CREATE TABLE notice_done (
  channel  TEXT    NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (channel, position)
) STRICT, WITHOUT ROWID;

-- Written before each sign of life: what cannot be written here cannot be recorded either.
CREATE TABLE heartbeat (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at INTEGER NOT NULL
) STRICT;
