-- Most addresses are not proved. (The other indexes stay, unlike on SQLite: a replica of the version before may still run, and its
-- statements need them.)

DROP INDEX users_email_claim;
CREATE UNIQUE INDEX users_email_claim ON users (email_claim) WHERE email_claim IS NOT NULL;
