-- Accounts that nobody can log in to before their address is proved, and that go when nobody proves it.
-- Times are microseconds since the Unix epoch, UTC.

ALTER TABLE users ADD COLUMN unproved_since BIGINT;    -- registered then where a proof was required; NULL again with it, or with a login
CREATE INDEX users_unproved_since ON users (unproved_since) WHERE unproved_since IS NOT NULL;
