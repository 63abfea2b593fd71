-- Status lists (IETF Token Status List): which place each session has in which published list.
-- Times are microseconds since the Unix epoch, UTC.

CREATE TABLE status_lists (
    id        BIGINT PRIMARY KEY NOT NULL,             -- ascending; the last one takes new sessions
    opened_at BIGINT NOT NULL
);

-- A place is given once and never again, whatever becomes of its session; the rows go with their list.
CREATE TABLE status_entries (
    list       BIGINT NOT NULL REFERENCES status_lists (id),
    place      BIGINT NOT NULL,                        -- random, so that it says nothing about when or who
    session_id BYTEA NOT NULL,
    user_id    BIGINT NOT NULL,
    keep_until BIGINT NOT NULL,                        -- later than any token that carries the place
    PRIMARY KEY (list, place)
);
CREATE INDEX status_entries_user ON status_entries (user_id);

-- The same place again, where a refresh finds it.
ALTER TABLE sessions ADD COLUMN status_list BIGINT;
ALTER TABLE sessions ADD COLUMN status_place BIGINT;
