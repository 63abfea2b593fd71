-- How administrators look for accounts, and the few superusers.

CREATE INDEX users_email_prefix ON users (lower(email), id);
CREATE INDEX users_superuser ON users (id) WHERE is_superuser = 1;
