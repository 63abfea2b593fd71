-- Accounts that registered themselves and that nobody has shown to be somebody's yet.
-- Times are microseconds since the Unix epoch, UTC.

ALTER TABLE users ADD COLUMN unproved_since BIGINT;    -- registered itself then; NULL once proved, used, or vouched for by others
ALTER TABLE users ADD COLUMN reset_sent_at BIGINT;     -- the last link for a new password was sent then
