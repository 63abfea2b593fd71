-- Most addresses are not proved. (The other indexes stay, unlike on SQLite: a replica of the version before may still run, and its
-- statements need them.) The new one is made before the old one goes, so that nobody who reads waits for it.

CREATE UNIQUE INDEX users_email_claim_proved ON users (email_claim) WHERE email_claim IS NOT NULL;
CREATE INDEX users_unproved_since ON users (unproved_since) WHERE unproved_since IS NOT NULL;
-- Recovery by an address that nobody has proved: whose turn it is.
CREATE INDEX users_email_turn ON users (lower(email), (CASE WHEN unproved_since IS NULL THEN 0 ELSE 1 END), (COALESCE(reset_sent_at, 0)), id)
    WHERE disabled_at IS NULL AND email_verified_at IS NULL;
DROP INDEX users_email_claim;
ALTER INDEX users_email_claim_proved RENAME TO users_email_claim;
