CREATE TABLE members (
    id    BIGINT NOT NULL PRIMARY KEY,
    name  TEXT   NOT NULL,
    token TEXT   NOT NULL UNIQUE
);

CREATE TABLE profiles (
    member_id BIGINT NOT NULL PRIMARY KEY REFERENCES members (id),
    bio       TEXT   NOT NULL
);

INSERT INTO members (id, name, token) VALUES (1, 'Ada', 'ada-token'), (2, 'Grace', 'grace-token');
INSERT INTO profiles (member_id, bio) VALUES (1, 'Likes engines.');
