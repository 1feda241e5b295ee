CREATE TABLE charges (
    order_id     TEXT   NOT NULL PRIMARY KEY,
    amount_cents BIGINT NOT NULL
);
