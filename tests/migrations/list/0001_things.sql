CREATE TABLE things (
    id   BIGINT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL CHECK (size > 0),
    note TEXT
);
