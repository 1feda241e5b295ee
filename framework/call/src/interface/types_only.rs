//! Without the feature `client`: the types of this crate that an interface can carry.

mod page;

pub use page::Page;
