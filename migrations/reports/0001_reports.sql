-- The read model. Each row belongs to a build of it.

CREATE TABLE sales (
    monolift_build BIGINT NOT NULL,
    -- In UTC, as 2026-11-27.
    day            TEXT   NOT NULL,
    sku            TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    units          BIGINT NOT NULL,
    PRIMARY KEY (monolift_build, day, sku)
);

CREATE TABLE purchases (
    monolift_build BIGINT NOT NULL,
    order_id       TEXT   NOT NULL,
    user_id        TEXT   NOT NULL,
    day            TEXT   NOT NULL,
    total_cents    BIGINT NOT NULL,
    cancelled      BIGINT NOT NULL,
    -- What was bought, with names, as JSON.
    lines          TEXT   NOT NULL,
    PRIMARY KEY (monolift_build, order_id)
);

CREATE INDEX purchases_by_user ON purchases (monolift_build, user_id, order_id);
