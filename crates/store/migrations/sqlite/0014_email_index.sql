-- One index on addresses instead of two: for recovery by an address that nobody has proved (whose turn it is; 2 is nobody's) and for
-- administrators who look for the beginning of one. (A program of the version before finds the same, and sorts it.)

DROP INDEX users_email_prefix;
DROP INDEX users_email_turn;
CREATE INDEX users_email ON users (lower(email),
    (CASE WHEN disabled_at IS NOT NULL OR email_verified_at IS NOT NULL THEN 2 WHEN unproved_since IS NULL THEN 0 ELSE 1 END),
    (COALESCE(reset_sent_at, 0)), id);
