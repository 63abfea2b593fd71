-- The audit trail. A row is written to audit_pending with the change it tells of; shortly after it is moved to the end of
-- audit_events, where it has its place in a chain of hashes.
-- Times are microseconds since the Unix epoch, UTC.

CREATE TABLE audit_pending (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    result     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    actor_id   TEXT,
    user_id    BIGINT,
    session_id BYTEA,
    address    TEXT,
    user_agent TEXT,
    request_id TEXT,
    detail     TEXT,
    salt       BYTEA NOT NULL
);

-- Written once. An erasure takes the salt and the personal data away and sets erased_at; the oldest rows go in the end.
CREATE TABLE audit_events (
    position   INTEGER PRIMARY KEY NOT NULL,           -- 1, 2, 3, ... without a gap
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,                        -- what happened: domain::audit::EventKind
    result     TEXT NOT NULL,
    actor      TEXT NOT NULL,                          -- what sort of actor: domain::audit::Actor
    actor_id   TEXT,                                 -- which one; none for a user on the own account
    user_id    BIGINT,                                 -- whose account it is about
    session_id BYTEA,
    address    TEXT,
    user_agent TEXT,
    request_id TEXT,
    detail     TEXT,                                   -- a JSON object
    salt       BYTEA,
    personal   BYTEA NOT NULL,                         -- SHA-256 of the salt and session_id to detail; survives an erasure
    commitment BYTEA NOT NULL,                         -- SHA-256 of that and of at to user_id
    hash       BYTEA NOT NULL,                         -- HMAC of the hash before, the position and the commitment
    erased_at  BIGINT
);
CREATE INDEX audit_events_at ON audit_events (at, position);
CREATE INDEX audit_events_kind ON audit_events (kind, at, position);
CREATE INDEX audit_events_user ON audit_events (user_id, at, position);
CREATE INDEX audit_events_actor ON audit_events (actor_id) WHERE actor_id IS NOT NULL;

-- One row, once there is anything: the end of the chain, and where it begins since the oldest rows were removed.
CREATE TABLE audit_head (
    id              BIGINT PRIMARY KEY NOT NULL,
    position        BIGINT NOT NULL,                   -- of the last row
    hash            BYTEA NOT NULL,
    purged_position BIGINT NOT NULL,                   -- of the last row that was removed
    purged_hash     BYTEA NOT NULL
);

-- Signed statements about the chain; they are logged too, and worth most where they are kept elsewhere.
CREATE TABLE audit_checkpoints (
    position   BIGINT PRIMARY KEY NOT NULL,
    at         BIGINT NOT NULL,
    statement  TEXT NOT NULL                           -- a compact JWS
);

-- Deleted users whose rows are still to be erased.
CREATE TABLE audit_erasures (
    user_id      BIGINT PRIMARY KEY NOT NULL,
    requested_at BIGINT NOT NULL
);
