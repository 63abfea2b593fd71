-- What replicas tell each other of logins and registrations, once a second and never in a request.
-- Times are microseconds since the Unix epoch, UTC.

-- Rates of networks: a fixed number of slots of each kind, chosen by keyed hash.
CREATE TABLE network_rates (
    kind       BIGINT NOT NULL,                        -- of what
    slot       BIGINT NOT NULL,
    whole_at   BIGINT NOT NULL,                        -- when the budget is whole again
    changed_at BIGINT NOT NULL,                        -- when a replica last told of takes
    PRIMARY KEY (kind, slot)
);
CREATE INDEX network_rates_changed ON network_rates (changed_at, kind, slot);

-- Logins of each replica, in periods of a few seconds.
CREATE TABLE login_counts (
    period    BIGINT NOT NULL,                         -- when it began
    replica   BYTEA NOT NULL,                          -- random; another one with every start
    failures  BIGINT NOT NULL,
    successes BIGINT NOT NULL,
    PRIMARY KEY (period, replica)
);
