//! Pages of a long list.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of a long list, as the answer of a method.
///
/// The method takes `after: Option<String>` and `limit: Option<u32>`. The limit has
/// `#[schemars(range(min = 1, max = 100))]`, so that clients know its bounds. The method reads one row more
/// than [`Page::size`], in the order of a key. [`Page::of`] then knows whether there is a next page:
///
/// ```
/// # use monolift_call::Page;
/// # fn rows_after(after: Option<String>, most: u32) -> Vec<String> { vec!["tea".into()] }
/// fn list(after: Option<String>, limit: Option<u32>) -> Page<String> {
///     let size = Page::<String>::size(limit);
///     let rows = rows_after(after, size + 1);
///     Page::of(rows, size, |sku| sku.clone())
/// }
/// assert_eq!(list(None, Some(1)).next, None);
/// ```
///
/// The next page begins after a key, and not after a number of items. So items that are added or
/// removed between two pages do not make other items repeat or disappear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The items on this page.
    pub items: Vec<T>,
    /// The value of `after` for the next page; `null` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The size of a page if no limit was given.
    pub const USUAL: u32 = 20;
    /// The largest size of a page.
    pub const MOST: u32 = 100;

    /// The size of a page: `limit`, within bounds.
    pub fn size(limit: Option<u32>) -> u32 {
        limit.unwrap_or(Self::USUAL).clamp(1, Self::MOST)
    }

    /// The page with the first `size` of `rows`. A further row means that there is a next page.
    pub fn of(mut rows: Vec<T>, size: u32, key: impl Fn(&T) -> String) -> Self {
        let size = size as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(key);
        Self { items: rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_known_by_the_row_beyond() {
        let page = |rows: &[u32]| Page::of(rows.to_vec(), 2, u32::to_string);
        assert_eq!(page(&[]).next, None);
        assert_eq!(page(&[1, 2]).next, None);
        assert_eq!(page(&[1, 2, 3]), Page { items: vec![1, 2], next: Some("2".to_owned()) });
        let size = Page::<u32>::size;
        assert_eq!([size(None), size(Some(0)), size(Some(7)), size(Some(1000))], [20, 1, 7, 100]);
    }
}
