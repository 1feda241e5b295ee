//! Long lists, a page at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of a long list, as a method answers it.
///
/// A method takes `after: Option<String>` and `limit: Option<u32>`, the latter with
/// `#[schemars(range(min = 1, max = 100))]`, so that its clients know the bounds; it reads one row more than
/// [`Page::size`] in the order of a key, and lets [`Page::of`] tell whether there is more:
///
/// ```
/// # use monolift::Page;
/// # fn rows_after(after: Option<String>, most: u32) -> Vec<String> { vec!["tea".into()] }
/// fn list(after: Option<String>, limit: Option<u32>) -> Page<String> {
///     let size = Page::<String>::size(limit);
///     let rows = rows_after(after, size + 1);
///     Page::of(rows, size, |sku| sku.clone())
/// }
/// assert_eq!(list(None, Some(1)).next, None);
/// ```
///
/// It goes by keys and not by counting: what is added or taken away meanwhile neither repeats nor
/// skips anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// What to ask for as `after` to have the next page; `null` on the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The items of a page for which no limit was asked.
    pub const USUAL: u32 = 20;
    /// The most items of a page.
    pub const MOST: u32 = 100;

    /// How many items a page has: what was asked for, within bounds.
    pub fn size(limit: Option<u32>) -> u32 {
        limit.unwrap_or(Self::USUAL).clamp(1, Self::MOST)
    }

    /// The page of the first `size` of `rows`, of which there is one more if there are any after it.
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
