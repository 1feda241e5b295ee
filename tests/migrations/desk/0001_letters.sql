CREATE TABLE letters (
    text  TEXT   NOT NULL PRIMARY KEY,
    posts BIGINT NOT NULL
);
