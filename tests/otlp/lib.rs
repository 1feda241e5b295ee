//! What Monolift sends to a collector; see `tests/export.rs`.
