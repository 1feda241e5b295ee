CREATE TABLE profiles (
    user_id BIGINT PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    bio     TEXT   NOT NULL DEFAULT '',
    image   TEXT
);

CREATE TABLE follows (
    follower_id BIGINT      NOT NULL REFERENCES users ON DELETE CASCADE,
    followed_id BIGINT      NOT NULL REFERENCES users ON DELETE CASCADE,
    since       TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (follower_id, followed_id),
    CHECK (follower_id <> followed_id)
);

CREATE INDEX follows_by_followed ON follows (followed_id, since);
