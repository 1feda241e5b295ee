//! Mistakes in an author's code, and what the compiler says of them: one file for each, its message
//! pinned beside it. `TRYBUILD=overwrite cargo nextest run -p tests ui` writes them anew.

#[test]
fn mistakes_are_told() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
