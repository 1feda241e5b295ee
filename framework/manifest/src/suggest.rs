//! "Did you mean …?": the known word that is nearest to a mistyped one.

/// The candidate nearest to `word`, if one is near enough to be what was meant.
///
/// Near enough is one slip (a letter missing, added, wrong, or two swapped) for each three letters, at least one and
/// at most three. Case is ignored. Of two that are equally near, the first wins.
///
/// ```
/// use monolift_manifest::nearest;
/// assert_eq!(nearest("paymnts", ["orders", "payments"]), Some("payments"));
/// assert_eq!(nearest("shipping", ["orders", "payments"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = word.to_lowercase().chars().collect();
    let slips_allowed = (wanted.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| {
            let letters: Vec<char> = candidate.to_lowercase().chars().collect();
            (distance(&wanted, &letters), letters.len(), candidate)
        })
        // A word that shares no letter with the wanted one is never what was meant, however short both are.
        .filter(|(slips, letters, _)| {
            *slips <= slips_allowed && *slips < wanted.len().max(*letters)
        })
        .min_by_key(|(slips, ..)| *slips)
        .map(|(.., candidate)| candidate)
}

/// How many slips turn `a` into `b`: Damerau-Levenshtein, where no part is changed twice.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let wrong = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + wrong);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slips(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn each_kind_of_slip_counts_once() {
        assert_eq!(slips("stock", "stock"), 0);
        assert_eq!(slips("stok", "stock"), 1);
        assert_eq!(slips("stocks", "stock"), 1);
        assert_eq!(slips("stack", "stock"), 1);
        assert_eq!(slips("sotck", "stock"), 1);
        assert_eq!(slips("", "stock"), 5);
        assert_eq!(slips("stock", ""), 5);
    }

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        let known = ["users", "stock", "orders", "payments", "notifications"];
        assert_eq!(nearest("ordres", known), Some("orders"));
        assert_eq!(nearest("Stock", known), Some("stock"));
        assert_eq!(nearest("notificatoins", known), Some("notifications"));
        assert_eq!(nearest("carts", known), None);
        assert_eq!(nearest("x", ["y", "z"]), None);
        assert_eq!(nearest("", known), None);
    }
}
