-- An index whose entries come in no order costs every new account a page, and an import most of its time.

DROP INDEX users_email;                                -- users_email_prefix begins with the same
DROP INDEX users_email_claim;                          -- most addresses are not proved
CREATE UNIQUE INDEX users_email_claim ON users (email_claim) WHERE email_claim IS NOT NULL;
-- The unique index on username_claim has all keys but those that an account shares with an older one. (With IS NULL in place of IS
-- DISTINCT FROM, SQLite would look for those in the unique index, among all accounts without a claim.)
DROP INDEX users_username_key;
CREATE INDEX users_username_key ON users (username_key) WHERE username_claim IS DISTINCT FROM username_key;
