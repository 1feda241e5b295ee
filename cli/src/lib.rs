//! The functions behind `cargo monolift`, for programs that use them directly.

mod cargo;
pub mod certificates;
pub mod compare;
pub mod up;

pub use cargo::target_of;
