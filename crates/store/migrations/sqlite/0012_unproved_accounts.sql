-- Accounts that registered themselves and that nobody has shown to be somebody's yet.
-- Times are microseconds since the Unix epoch, UTC.

ALTER TABLE users ADD COLUMN unproved_since BIGINT;    -- registered itself then; NULL once proved, used, or vouched for by others
ALTER TABLE users ADD COLUMN reset_sent_at BIGINT;     -- the last link for a new password was sent then
CREATE INDEX users_unproved_since ON users (unproved_since) WHERE unproved_since IS NOT NULL;
-- Recovery by an address that nobody has proved: whose turn it is.
CREATE INDEX users_email_turn ON users (lower(email), (CASE WHEN unproved_since IS NULL THEN 0 ELSE 1 END), (COALESCE(reset_sent_at, 0)), id)
    WHERE disabled_at IS NULL AND email_verified_at IS NULL;
