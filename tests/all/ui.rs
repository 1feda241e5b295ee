//! Mistakes in an author's code, and what the compiler says of them.
