//! Every whole-system test.

mod ui;
