//! The tables of events, in the database of each module that publishes some or listens to some.
//!
//! They have a history of their own, so that a module with durable work alone has none of them. The rules for further
//! migrations are those of durable work's tables.

use crate::{History, Migration};

/// The epoch in which this process owns its module. Nothing moves a module yet, so it is the first one.
pub(super) const EPOCH: i64 = 0;

/// That of the tables of events.
pub fn history() -> History<'static> {
    let table = "monolift_event_migrations".to_owned();
    History { table, migrations: MIGRATIONS, readers: Some("monolift_event_tables") }
}

/// In the publisher's database:
///
/// - `monolift_events`: what was published. `number` counts the events of a key, from 1. `registry` is the number of the
///   registry of listeners that the publishing transaction saw. `offered` is the number up to which listeners have it.
///   `subject` is whose data it holds. Its payload may be emptied from `payload_until_ms` on. The payload of an erased
///   event is empty, too.
/// - `monolift_event_keys`: the last number of each key. Publishing locks its row.
/// - `monolift_event_registry`: counts the listeners that were added.
/// - `monolift_event_listeners`: who listens to what, and the number of the registry when it was added.
/// - `monolift_event_offers`: an event that a listener has not handled yet. `begins` says that the listener has none
///   before it of its key. `skipped` says that it is to be passed over. `replay` is 0, or when an operator wanted it
///   handled again: such an offer is handled once, whatever was handled before.
///
/// - `monolift_event_removals`: the names of events of which some were deleted or emptied, since they were kept long enough.
///
/// In the listener's database:
///
/// - `monolift_builds`: the builds of a read model: `building`, `answering`, `retired`, or `gone`.
/// - `monolift_inbox_keys`: the number of the last event of a key that was handled.
/// - `monolift_inbox`: events without a key that were handled, and events with a key that were passed over.
const MIGRATIONS: &[Migration] = &[
    (
        "0001_events.sql",
        "CREATE TABLE monolift_events (
        id            TEXT   NOT NULL PRIMARY KEY,
        module        TEXT   NOT NULL,
        name          TEXT   NOT NULL,
        version       BIGINT NOT NULL,
        key           TEXT,
        number        BIGINT NOT NULL,
        payload       TEXT   NOT NULL,
        trace         TEXT,
        registry      BIGINT NOT NULL,
        offered       BIGINT NOT NULL,
        made_at_ms    BIGINT NOT NULL,
        keep_until_ms BIGINT NOT NULL,
        epoch         BIGINT NOT NULL
    );
    CREATE INDEX monolift_events_kept ON monolift_events (module, keep_until_ms);
    CREATE INDEX monolift_events_numbers ON monolift_events (module, name, key, number);
    CREATE INDEX monolift_events_offered ON monolift_events (module, offered);
    CREATE TABLE monolift_event_keys (
        module   TEXT   NOT NULL,
        name     TEXT   NOT NULL,
        key      TEXT   NOT NULL,
        number   BIGINT NOT NULL,
        epoch    BIGINT NOT NULL,
        PRIMARY KEY (module, name, key)
    );
    CREATE TABLE monolift_event_registry (
        module  TEXT   NOT NULL PRIMARY KEY,
        version BIGINT NOT NULL,
        epoch   BIGINT NOT NULL
    );
    CREATE TABLE monolift_event_listeners (
        module     TEXT   NOT NULL,
        name       TEXT   NOT NULL,
        listener   TEXT   NOT NULL,
        registry   BIGINT NOT NULL,
        from_first BIGINT NOT NULL,
        epoch      BIGINT NOT NULL,
        PRIMARY KEY (module, name, listener)
    );
    CREATE TABLE monolift_event_offers (
        module         TEXT   NOT NULL,
        listener       TEXT   NOT NULL,
        event          TEXT   NOT NULL,
        name           TEXT   NOT NULL,
        version        BIGINT NOT NULL,
        key            TEXT,
        number         BIGINT NOT NULL,
        begins         BIGINT NOT NULL,
        due_at_ms      BIGINT NOT NULL,
        attempts       BIGINT NOT NULL,
        holder         TEXT,
        leased_till_ms BIGINT NOT NULL,
        parked_at_ms   BIGINT,
        error          TEXT,
        skipped        BIGINT NOT NULL,
        epoch          BIGINT NOT NULL,
        PRIMARY KEY (module, listener, event)
    );
    CREATE INDEX monolift_event_offers_keys
        ON monolift_event_offers (module, listener, name, key, number);
    CREATE TABLE monolift_inbox (
        module     TEXT   NOT NULL,
        publisher  TEXT   NOT NULL,
        event      TEXT   NOT NULL,
        passed     BIGINT NOT NULL,
        made_at_ms BIGINT NOT NULL,
        epoch      BIGINT NOT NULL,
        PRIMARY KEY (module, publisher, event)
    );
    CREATE TABLE monolift_inbox_keys (
        module    TEXT   NOT NULL,
        publisher TEXT   NOT NULL,
        name      TEXT   NOT NULL,
        key       TEXT   NOT NULL,
        number    BIGINT NOT NULL,
        epoch     BIGINT NOT NULL,
        PRIMARY KEY (module, publisher, name, key)
    );
    CREATE TABLE monolift_event_tables (
        version        BIGINT NOT NULL PRIMARY KEY,
        readable_since BIGINT NOT NULL
    );
    INSERT INTO monolift_event_tables (version, readable_since) VALUES (1, 1);",
    ),
    (
        "0002_replays.sql",
        "ALTER TABLE monolift_event_offers ADD COLUMN replay BIGINT NOT NULL DEFAULT 0;
    INSERT INTO monolift_event_tables (version, readable_since) VALUES (2, 1);",
    ),
    (
        "0003_builds.sql",
        "CREATE TABLE monolift_builds (
        module   TEXT   NOT NULL,
        number   BIGINT NOT NULL,
        state    TEXT   NOT NULL,
        since_ms BIGINT NOT NULL,
        epoch    BIGINT NOT NULL,
        PRIMARY KEY (module, number)
    );
    CREATE TABLE monolift_event_removals (
        module TEXT   NOT NULL,
        name   TEXT   NOT NULL,
        epoch  BIGINT NOT NULL,
        PRIMARY KEY (module, name)
    );
    INSERT INTO monolift_event_tables (version, readable_since) VALUES (3, 1);",
    ),
    // PostgreSQL without statistics would take an index that begins with the module for the primary key's work.
    (
        "0004_offers_by_key.sql",
        "DROP INDEX monolift_event_offers_keys;
    CREATE INDEX monolift_event_offers_keys
        ON monolift_event_offers (key, name, listener, module, number);
    INSERT INTO monolift_event_tables (version, readable_since) VALUES (4, 1);",
    ),
    (
        "0005_subjects.sql",
        "ALTER TABLE monolift_events ADD COLUMN subject TEXT;
    CREATE INDEX monolift_events_subjects ON monolift_events (subject, module, id)
        WHERE subject IS NOT NULL;
    INSERT INTO monolift_event_tables (version, readable_since) VALUES (5, 1);",
    ),
    (
        "0006_payloads_and_replays.sql",
        "ALTER TABLE monolift_events ADD COLUMN payload_until_ms BIGINT;
    CREATE INDEX monolift_events_payloads ON monolift_events (module, payload_until_ms)
        WHERE payload_until_ms IS NOT NULL;
    CREATE INDEX monolift_event_offers_replays ON monolift_event_offers (module, listener)
        WHERE replay > 0;
    INSERT INTO monolift_event_tables (version, readable_since) VALUES (6, 1);",
    ),
];
