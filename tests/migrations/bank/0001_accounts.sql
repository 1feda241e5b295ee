CREATE TABLE accounts (
    id      BIGINT NOT NULL PRIMARY KEY,
    balance BIGINT NOT NULL
);
INSERT INTO accounts (id, balance) VALUES (1, 100), (2, 100);
