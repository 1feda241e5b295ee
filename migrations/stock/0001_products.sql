CREATE TABLE products (
    sku         TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    on_hand     BIGINT NOT NULL CHECK (on_hand >= 0),
    price_cents BIGINT NOT NULL
);

CREATE TABLE reservations (
    order_id    TEXT   NOT NULL PRIMARY KEY,
    total_cents BIGINT NOT NULL
);

CREATE TABLE held (
    order_id TEXT   NOT NULL,
    sku      TEXT   NOT NULL,
    quantity BIGINT NOT NULL
);

CREATE INDEX held_by_order ON held (order_id);
