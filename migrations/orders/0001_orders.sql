CREATE TABLE orders (
    id           TEXT   NOT NULL PRIMARY KEY,
    total_cents  BIGINT NOT NULL,
    placed_at_ms BIGINT NOT NULL
);
