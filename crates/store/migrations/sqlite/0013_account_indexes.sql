-- An index whose entries come in no order costs every new account a page, and an import most of its time.

DROP INDEX users_email;                                -- users_email_prefix begins with the same
DROP INDEX users_email_claim;                          -- most addresses are not proved
CREATE UNIQUE INDEX users_email_claim ON users (email_claim) WHERE email_claim IS NOT NULL;
-- The unique index on username_claim has all keys but those that an account shares with an older one. (With IS NULL in place of IS
-- DISTINCT FROM, SQLite would look for those in the unique index, among all accounts without a claim.)
DROP INDEX users_username_key;
CREATE INDEX users_username_key ON users (username_key) WHERE username_claim IS DISTINCT FROM username_key;

CREATE INDEX users_unproved_since ON users (unproved_since) WHERE unproved_since IS NOT NULL;
-- Recovery by an address that nobody has proved: whose turn it is.
CREATE INDEX users_email_turn ON users (lower(email), (CASE WHEN unproved_since IS NULL THEN 0 ELSE 1 END), (COALESCE(reset_sent_at, 0)), id)
    WHERE disabled_at IS NULL AND email_verified_at IS NULL;
