//! `process!`, `service!`, `host!`: filled in below.
