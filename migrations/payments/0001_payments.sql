CREATE TABLE payments (
    order_id     TEXT   NOT NULL PRIMARY KEY,
    amount_cents BIGINT NOT NULL,
    -- authorised, captured or refunded; it goes only forwards.
    state        TEXT   NOT NULL,
    changed_at_ms BIGINT NOT NULL
);

-- What the pretend provider knows. A real one is elsewhere, and has no table here.
CREATE TABLE pretend_provider (
    order_id       TEXT   NOT NULL PRIMARY KEY,
    reserved_cents BIGINT NOT NULL,
    taken_cents    BIGINT NOT NULL,
    returned_cents BIGINT NOT NULL,
    is_closed      BIGINT NOT NULL
);
