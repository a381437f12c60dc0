-- Retention (decision 0021): the one way in which records go. A row here says that everything in front of `before` may, and
-- it is taken only where the journal itself says so: by the record at `position`, whose body begins with these two fields
-- as the program writes them, and by the last record that goes.
CREATE TABLE seal (
  position INTEGER PRIMARY KEY,
  before   INTEGER NOT NULL,
  hash     BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TRIGGER seal_is_on_record BEFORE INSERT ON seal
WHEN NEW.before > NEW.position
  OR EXISTS (SELECT 1 FROM seal WHERE position = NEW.position)
  OR NOT EXISTS (SELECT 1 FROM record WHERE position = NEW.before - 1 AND hash = NEW.hash)
  OR NOT EXISTS (
    SELECT 1 FROM record
    WHERE position = NEW.position AND stream = 'instance' AND kind = 'sealed' AND version = 1
      AND substr(CAST(body AS TEXT), 1, 94 + length(NEW.before))
        = '{"sealed":{"before":' || NEW.before || ',"hash":"' || lower(hex(NEW.hash)) || '"')
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: only what a record says is sealed'); END;

CREATE TRIGGER seal_is_append_only_update BEFORE UPDATE ON seal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: a seal is never changed'); END;

CREATE TRIGGER seal_is_append_only_delete BEFORE DELETE ON seal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: a seal is never removed'); END;

-- Oldest first, and only what is sealed away. The record that seals lies behind `before`, so it cannot go with its own cut.
DROP TRIGGER record_is_append_only_delete;
CREATE TRIGGER record_is_append_only_delete BEFORE DELETE ON record
WHEN OLD.position <> (SELECT min(position) FROM record)
  OR NOT EXISTS (SELECT 1 FROM seal WHERE before > OLD.position)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: records are never removed'); END;
