-- A service has a record for each acknowledgement, hold and freeze, and few claims: `audit verify` takes its epoch from those.
CREATE INDEX record_claims ON record (stream, seq) WHERE kind = 'claimed';
