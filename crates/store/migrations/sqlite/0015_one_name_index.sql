-- One unique index on names instead of two. Each is a page somewhere for every new account, and the one on username_claim nearly says
-- what the one on username said: accounts of one exact name have one key, and of those only one may claim it. Accounts that claim none
-- (imported ones whose names differ by case alone) are few, and their names have an index of their own. What is left, that one of
-- these has the exact name of the account that claims its key, is asked before an account is written: SQLite has one writer.
--
-- SQLite cannot drop a rule of a table, so the table is made anew: a quarter of a minute for a million accounts, and a hundred bytes of memory for
-- each. A program of the version before would neither look before it writes, nor find a name without reading all accounts: it refuses this
-- schema.

CREATE TABLE users_anew (
    id                INTEGER PRIMARY KEY AUTOINCREMENT, -- never issued twice, not even after a delete
    username          TEXT NOT NULL,                   -- canonical (NFKC); compared exactly; unique, see above
    username_key      TEXT NOT NULL,                   -- case folded; finds a name in any spelling
    username_claim    TEXT UNIQUE,                     -- the key again, unless an imported name shares it with an older one
    email             TEXT NOT NULL,
    first_name        TEXT NOT NULL DEFAULT '',
    last_name         TEXT NOT NULL DEFAULT '',
    password_hash     TEXT NOT NULL,
    password_scheme   TEXT NOT NULL,                   -- scheme and cost of the hash, for dummies that cost the same
    password_trims    BIGINT NOT NULL DEFAULT 0,       -- 1: checked as Django trimmed it, until the password changes
    is_staff          BIGINT NOT NULL DEFAULT 0,
    is_superuser      BIGINT NOT NULL DEFAULT 0,
    epoch             BIGINT NOT NULL DEFAULT 0,       -- sessions opened in an earlier epoch have ended
    not_before        BIGINT,                          -- seconds: tokens without a session issued before it are refused
    created_at        BIGINT NOT NULL,
    last_login_at     BIGINT,
    disabled_at       BIGINT,
    login_failures    BYTEA,                           -- domain::throttle::FailureLog
    email_verified_at BIGINT,                          -- the address was proved then; NULL again when it changes
    email_claim       TEXT,                            -- a proved address, its ASCII letters in lower case; nobody else has it
    pending_email     TEXT,                            -- asked for, and not yet proved
    delete_at         BIGINT,                          -- closed by its owner, and gone from then on
    unproved_since    BIGINT,                          -- registered itself then; NULL once proved, used, or vouched for by others
    reset_sent_at     BIGINT                           -- the last link for a new password was sent then
);
INSERT INTO users_anew (id, username, username_key, username_claim, email, first_name, last_name, password_hash, password_scheme,
        password_trims, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, login_failures,
        email_verified_at, email_claim, pending_email, delete_at, unproved_since, reset_sent_at)
    SELECT id, username, username_key, username_claim, email, first_name, last_name, password_hash, password_scheme,
        password_trims, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, login_failures,
        email_verified_at, email_claim, pending_email, delete_at, unproved_since, reset_sent_at
    FROM users ORDER BY id;
-- The last id that was issued, which may be above every id that is left.
DELETE FROM sqlite_sequence WHERE name = 'users_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'users_anew', seq FROM sqlite_sequence WHERE name = 'users';
DROP TABLE users;
ALTER TABLE users_anew RENAME TO users;

CREATE UNIQUE INDEX users_username ON users (username) WHERE username_claim IS DISTINCT FROM username_key;
CREATE INDEX users_username_key ON users (username_key) WHERE username_claim IS DISTINCT FROM username_key;
CREATE INDEX users_password_scheme ON users (password_scheme);
CREATE UNIQUE INDEX users_email_claim ON users (email_claim) WHERE email_claim IS NOT NULL;
CREATE INDEX users_email ON users (lower(email),
    (CASE WHEN disabled_at IS NOT NULL OR email_verified_at IS NOT NULL THEN 2 WHEN unproved_since IS NULL THEN 0 ELSE 1 END),
    (COALESCE(reset_sent_at, 0)), id);
CREATE INDEX users_delete_at ON users (delete_at) WHERE delete_at IS NOT NULL;
CREATE INDEX users_unproved_since ON users (unproved_since) WHERE unproved_since IS NOT NULL;
CREATE INDEX users_superuser ON users (id) WHERE is_superuser = 1;
