-- The core schema: users, sessions, the feed of changes, and what the service remembers of itself.
-- Times are microseconds since the Unix epoch, UTC, unless a column says otherwise.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);
-- Keys in use: compatible_from, mode, first_started_at (microseconds), tokens_not_before (seconds; no token issued before it
-- is good any more), longest_access_lifetime (microseconds), probe.

CREATE TABLE users (
    id              INTEGER PRIMARY KEY AUTOINCREMENT, -- never issued twice, not even after a delete
    username        TEXT NOT NULL UNIQUE,              -- canonical (NFKC); compared exactly
    username_key    TEXT NOT NULL,                     -- case folded; finds a name in any spelling
    username_claim  TEXT UNIQUE,                       -- the key again, unless an imported name shares it with an older one
    email           TEXT NOT NULL,
    first_name      TEXT NOT NULL DEFAULT '',
    last_name       TEXT NOT NULL DEFAULT '',
    password_hash   TEXT NOT NULL,
    password_scheme TEXT NOT NULL,                     -- scheme and cost of the hash, for dummies that cost the same
    password_trims  BIGINT NOT NULL DEFAULT 0,         -- 1: checked as Django trimmed it, until the password changes
    is_staff        BIGINT NOT NULL DEFAULT 0,
    is_superuser    BIGINT NOT NULL DEFAULT 0,
    epoch           BIGINT NOT NULL DEFAULT 0,         -- sessions opened in an earlier epoch have ended
    not_before      BIGINT,                            -- seconds: tokens without a session issued before it are refused
    created_at      BIGINT NOT NULL,
    last_login_at   BIGINT,
    disabled_at     BIGINT,
    login_failures  BYTEA                              -- domain::throttle::FailureLog
);
CREATE INDEX users_username_key ON users (username_key);
CREATE INDEX users_password_scheme ON users (password_scheme);

CREATE TABLE deleted_users (
    id         BIGINT PRIMARY KEY NOT NULL,
    deleted_at BIGINT NOT NULL
);

-- What an import brought, to tell on the next run who has changed a row since: the source, we, or both.
CREATE TABLE imported_users (
    source        TEXT NOT NULL,                       -- the name of the system it came from
    user_id       BIGINT NOT NULL,
    source_digest BYTEA NOT NULL,                      -- of the row there
    our_digest    BYTEA NOT NULL,                      -- of the row here, as it was stored
    PRIMARY KEY (source, user_id)
);

CREATE TABLE sessions (
    id              BYTEA PRIMARY KEY NOT NULL,        -- 12 random bytes and the user's epoch
    user_id         BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation      BIGINT NOT NULL,                   -- one more with every rotation
    jti             BYTEA NOT NULL,                    -- of the refresh token in force
    previous_jti    BYTEA,                             -- of the one before it, for the grace window
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT NOT NULL,
    rotated_at      BIGINT NOT NULL,
    idle_expires_at BIGINT NOT NULL,                   -- moves with every rotation
    expires_at      BIGINT NOT NULL,                   -- absolute; never moves
    keep_until      BIGINT NOT NULL,                   -- purged after this; later than any token that names the session
    revoked_at      BIGINT,
    address         TEXT NOT NULL,
    user_agent      TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_keep_until ON sessions (keep_until);

-- What every replica must know to check access tokens in memory: one row per ended session and per changed user.
CREATE TABLE changes (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         BIGINT NOT NULL,
    session_id BYTEA,                                  -- an ended session, or
    user_id    BIGINT,                                 -- a user, with
    epoch      BIGINT,                                 -- the lowest epoch whose sessions are good, and
    active     BIGINT                                  -- whether any token of the user is
);
CREATE INDEX changes_at ON changes (at);

-- Failed logins to names that nobody has: a fixed number of slots, chosen by keyed hash.
CREATE TABLE unknown_names (
    slot     BIGINT PRIMARY KEY NOT NULL,
    failures BYTEA NOT NULL
);
