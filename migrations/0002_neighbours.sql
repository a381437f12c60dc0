-- Not history: a ring of what was seen lately. A sample that was used is copied into its observation.
CREATE TABLE sample (
  target TEXT    NOT NULL,
  at     INTEGER NOT NULL,
  value  TEXT    NOT NULL,
  PRIMARY KEY (target, at)
) STRICT, WITHOUT ROWID;

-- When each vantage last saw each probe succeed.
CREATE TABLE probe_seen (
  probe   TEXT    NOT NULL,
  vantage TEXT    NOT NULL,
  last_up INTEGER NOT NULL,
  PRIMARY KEY (probe, vantage)
) STRICT, WITHOUT ROWID;

-- Only the SHA-256 of a token is kept.
CREATE TABLE token (
  hash      BLOB PRIMARY KEY CHECK (length(hash) = 32),
  role      TEXT    NOT NULL,
  name      TEXT    NOT NULL,
  created   INTEGER NOT NULL,
  last_used INTEGER,
  revoked   INTEGER
) STRICT, WITHOUT ROWID;
