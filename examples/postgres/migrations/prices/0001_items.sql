-- What PostgreSQL has and portable SQL has not: arrays, JSON, numbers of its own.
CREATE TABLE items (
    sku     TEXT    NOT NULL PRIMARY KEY,
    cents   INTEGER NOT NULL CHECK (cents >= 0),
    tags    TEXT[]  NOT NULL DEFAULT '{}',
    is_open BOOLEAN NOT NULL DEFAULT TRUE
);

INSERT INTO items (sku, cents, tags) VALUES ('tea', 450, '{green,loose}'), ('pot', 2900, '{iron}');
