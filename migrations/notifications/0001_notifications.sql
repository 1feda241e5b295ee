CREATE TABLE notifications (
    -- Whoever sends it says which one it is, so that it is sent once.
    id         TEXT   NOT NULL PRIMARY KEY,
    recipient  TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    sent_at_ms BIGINT NOT NULL
);

CREATE INDEX notifications_by_recipient ON notifications (recipient, id);
