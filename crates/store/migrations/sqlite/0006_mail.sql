-- The outbox: mails that are committed with the change they tell of, and sent afterwards.
-- Times are microseconds since the Unix epoch, UTC.

CREATE TABLE mails (
    id              BYTEA PRIMARY KEY NOT NULL,        -- random; the Message-ID is made of it
    user_id         BIGINT REFERENCES users (id) ON DELETE CASCADE,
    template        TEXT NOT NULL,
    language        TEXT NOT NULL,
    recipient       TEXT NOT NULL,                     -- empty once a mail of a deleted account is done with
    content         TEXT NOT NULL,                     -- JSON: what the text leaves open; empty once it is done with
    link_seed       BYTEA,                             -- the link's token is derived from it under a key that is not here; NULL once done
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,                   -- not sent any more from then on
    attempts        BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT,                            -- NULL: done with. While a replica sends it, when others may.
    sent_at         BIGINT,
    failed_at       BIGINT                             -- given up
);
CREATE INDEX mails_due ON mails (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX mails_user ON mails (user_id, created_at);
CREATE INDEX mails_created ON mails (created_at);
