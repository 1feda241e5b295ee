//! What is done to a workspace of modules from outside, for programs that do it themselves:
//! `cargo monolift` is the program for everybody else.

mod cargo;
pub mod compare;
pub mod up;
