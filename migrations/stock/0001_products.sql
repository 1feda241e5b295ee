CREATE TABLE products (
    sku         TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    -- Units that nobody holds and nobody has bought.
    on_hand     BIGINT NOT NULL CHECK (on_hand >= 0),
    price_cents BIGINT NOT NULL CHECK (price_cents >= 0)
);

CREATE TABLE reservations (
    order_id    TEXT   NOT NULL PRIMARY KEY,
    -- held, sold or closed. One that is closed stays, so that the order can hold nothing any more.
    state       TEXT   NOT NULL,
    total_cents BIGINT NOT NULL,
    ends_at_ms  BIGINT NOT NULL
);

CREATE INDEX reservations_by_end ON reservations (state, ends_at_ms);

CREATE TABLE held (
    order_id TEXT   NOT NULL,
    sku      TEXT   NOT NULL,
    quantity BIGINT NOT NULL,
    PRIMARY KEY (order_id, sku)
);
