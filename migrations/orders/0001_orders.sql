CREATE TABLE orders (
    id            TEXT   NOT NULL PRIMARY KEY,
    user_id       TEXT   NOT NULL,
    -- What was asked for, as JSON, so that a repeated request can be told from another one.
    request       TEXT   NOT NULL,
    -- placing, placed, refused or cancelled.
    state         TEXT   NOT NULL,
    -- Why it was refused, as JSON.
    refusal       TEXT,
    total_cents   BIGINT NOT NULL,
    made_at_ms    BIGINT NOT NULL
);

CREATE INDEX orders_by_user ON orders (user_id, id);
