-- Groups and permissions as Django has them, what an import brought of them, and refresh tokens that another service refused.
-- Times are microseconds since the Unix epoch, UTC.

CREATE TABLE groups (
    id   INTEGER PRIMARY KEY AUTOINCREMENT, -- never issued twice
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE permissions (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    codename TEXT NOT NULL UNIQUE,                   -- with its application: catalog.add_book
    name     TEXT NOT NULL                              -- for people
);

CREATE TABLE group_permissions (
    group_id      BIGINT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    permission_id BIGINT NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, permission_id)
);
CREATE INDEX group_permissions_permission ON group_permissions (permission_id);

CREATE TABLE user_groups (
    user_id  BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id BIGINT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX user_groups_group ON user_groups (group_id);

CREATE TABLE user_permissions (
    user_id       BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    permission_id BIGINT NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, permission_id)
);
CREATE INDEX user_permissions_permission ON user_permissions (permission_id);

-- Which group of ours a group of an import's source is; with the digests as in imported_users.
CREATE TABLE imported_groups (
    source        TEXT NOT NULL,
    source_id     BIGINT NOT NULL,                      -- its id there
    group_id      BIGINT NOT NULL,                      -- here; the row stays when the group is deleted here
    source_digest BYTEA NOT NULL,
    our_digest    BYTEA NOT NULL,
    PRIMARY KEY (source, source_id)
);

-- Refresh tokens without a session that the service which minted them had refused: SimpleJWT's blacklist.
CREATE TABLE refused_tokens (
    jti        BYTEA PRIMARY KEY NOT NULL,              -- 16 bytes: the id, or a digest of it
    expires_at BIGINT NOT NULL                          -- of the token; not needed any more then
);
CREATE INDEX refused_tokens_expires_at ON refused_tokens (expires_at);
