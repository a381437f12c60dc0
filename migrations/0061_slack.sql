-- Messages in Slack that ask, and the first one of each run. `ask` is all that a button carries; `body` are its blocks without
-- the buttons.
CREATE TABLE slack_message (
  channel  TEXT    NOT NULL,
  position INTEGER NOT NULL,
  run      TEXT    NOT NULL,
  ask      TEXT,
  digest   TEXT    NOT NULL,
  ts       TEXT,
  title    TEXT    NOT NULL,
  body     TEXT    NOT NULL,
  open     INTEGER NOT NULL,
  PRIMARY KEY (channel, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX slack_message_run ON slack_message (run);
CREATE UNIQUE INDEX slack_message_ask ON slack_message (ask) WHERE ask IS NOT NULL;
