-- Accounts that people can live with: proved addresses, links in mails, requests for recovery, deletion on a day.
-- Times are microseconds since the Unix epoch, UTC.

ALTER TABLE users ADD COLUMN email_verified_at BIGINT; -- the address was proved then; NULL again when it changes
ALTER TABLE users ADD COLUMN email_claim TEXT COLLATE "C";-- a proved address, its ASCII letters in lower case; nobody else has it
ALTER TABLE users ADD COLUMN pending_email TEXT;       -- asked for, and not yet proved
ALTER TABLE users ADD COLUMN delete_at BIGINT;         -- closed by its owner, and gone from then on
-- Compared byte by byte, as the claim is: lower() then folds ASCII letters alone, as on SQLite.
ALTER TABLE users ALTER COLUMN email TYPE TEXT COLLATE "C";
CREATE UNIQUE INDEX users_email_claim ON users (email_claim);
CREATE INDEX users_email ON users (lower(email));
CREATE INDEX users_delete_at ON users (delete_at) WHERE delete_at IS NOT NULL;

-- What links in mails stand for. A token is used by deleting its row, so that one of many at once wins.
CREATE TABLE action_tokens (
    digest     BYTEA PRIMARY KEY NOT NULL,             -- SHA-256 of the token, which is nowhere
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL,
    address    TEXT NOT NULL,                          -- the one that it was sent to
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX action_tokens_user ON action_tokens (user_id, purpose);
CREATE INDEX action_tokens_expires ON action_tokens (expires_at);

-- Requests for a new password, as they came: whether there is such an account is looked up afterwards, so that the answer and the
-- time that it takes cannot tell. They go within seconds.
CREATE TABLE recovery_requests (
    id       BYTEA PRIMARY KEY NOT NULL,
    at       BIGINT NOT NULL,
    username TEXT,                                     -- one of the two
    email    TEXT
);
CREATE INDEX recovery_requests_at ON recovery_requests (at);
