-- A token of a person has that person's roles, or only the one that it names; role '' stands for all of them.
ALTER TABLE token ADD COLUMN person INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN expires INTEGER;

-- Codes to sign in with, each good for one time. Only the SHA-256 is kept. Recovery codes have no end.
CREATE TABLE sign_in_code (
  hash    BLOB PRIMARY KEY CHECK (length(hash) = 32),
  person  TEXT    NOT NULL,
  kind    TEXT    NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER,
  used    INTEGER
) STRICT, WITHOUT ROWID;

-- Browsers that are signed in. Only the SHA-256 of the cookie is kept.
CREATE TABLE session (
  hash    BLOB PRIMARY KEY CHECK (length(hash) = 32),
  person  TEXT    NOT NULL,
  how     TEXT    NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
