-- Keys that this installation made for itself: private parts sealed under the key-encryption key, which is not here.
-- Times are microseconds since the Unix epoch, UTC.

CREATE TABLE signing_keys (
    kid         TEXT PRIMARY KEY NOT NULL,             -- follows from the key (RFC 7638)
    purpose     TEXT NOT NULL CHECK (purpose IN ('access', 'refresh')),
    alg         TEXT NOT NULL,                         -- by its name in JOSE
    public_part TEXT NOT NULL,                         -- the JWK's required members, to be read by people; empty for HS256
    sealed      BYTEA NOT NULL,                        -- the private part; empty once the key was dropped
    created_at  BIGINT NOT NULL,
    active_from BIGINT NOT NULL,                       -- published before, signs from then
    retired_at  BIGINT,                                -- signs no more; checks until the last token it signed has died
    dropped_at  BIGINT                                 -- an emergency: neither signs nor checks
);
