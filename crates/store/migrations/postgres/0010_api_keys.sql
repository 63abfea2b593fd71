-- API keys, which services exchange for short-lived tokens.
-- Times are microseconds since the Unix epoch, UTC.

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" PRIMARY KEY NOT NULL,         -- 16 hex digits; in the key, and client_id of its tokens
    user_id      BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,                     -- for people
    scope        TEXT NOT NULL,                     -- permissions, separated by spaces
    digest       BYTEA NOT NULL,                    -- SHA-256 of the key
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT,                            -- to the hour
    revoked_at   BIGINT,
    session_id   BYTEA                              -- of its tokens: they end with it
);
CREATE INDEX api_keys_user ON api_keys (user_id, id);
