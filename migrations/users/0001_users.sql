CREATE TABLE users (
    id       TEXT   NOT NULL PRIMARY KEY,
    name     TEXT   NOT NULL,
    email    TEXT   NOT NULL UNIQUE,
    -- As argon2 writes it. Empty for whoever cannot log in.
    password TEXT   NOT NULL,
    since_ms BIGINT NOT NULL
);

CREATE TABLE sessions (
    -- Of the token only its hash is kept.
    token_hash TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL,
    ends_at_ms BIGINT NOT NULL
);

CREATE INDEX sessions_by_end ON sessions (ends_at_ms);
