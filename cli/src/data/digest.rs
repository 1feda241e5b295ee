//! Whether two tables have the same rows, in whatever order they are read, and within a fixed amount of memory.

use std::{
    fmt,
    hash::{DefaultHasher, Hasher},
};

/// The number of sums. A row's hash decides which sum it is part of.
const BUCKETS: usize = 1 << 16;

/// A checksum of a table's rows. Their order does not matter.
pub(super) struct Digest {
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    rows: u64,
    sum: u64,
}

impl Digest {
    /// That of a table without rows.
    pub(super) fn new() -> Self {
        Self { buckets: vec![Bucket::default(); BUCKETS] }
    }

    /// Adds a row, as the database writes it.
    pub(super) fn add(&mut self, row: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(row);
        let hash = hasher.finish();
        let bucket = &mut self.buckets[hash as usize % BUCKETS];
        bucket.rows += 1;
        bucket.sum = bucket.sum.wrapping_add(hash);
    }

    pub(super) fn rows(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.rows).sum()
    }

    /// How the rows of `target` differ from these; `None` if they are equal.
    pub(super) fn difference(&self, table: &str, target: &Self) -> Option<Difference> {
        let (mut missing, mut extra) = (0, 0);
        for (here, there) in self.buckets.iter().zip(&target.buckets) {
            if here == there {
                continue;
            }
            // Rows that differ are counted exactly while no two of them share a bucket.
            let is_changed = u64::from(here.rows == there.rows);
            missing += here.rows.saturating_sub(there.rows).max(is_changed);
            extra += there.rows.saturating_sub(here.rows).max(is_changed);
        }
        let differ = missing > 0 || extra > 0;
        differ.then(|| Difference {
            table: table.to_owned(),
            source: self.rows(),
            target: target.rows(),
            missing,
            extra,
        })
    }
}

/// How the rows of a table differ between the source and the target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) table: String,
    /// The rows in the source.
    pub(super) source: u64,
    /// The rows in the target.
    pub(super) target: u64,
    /// The least number of rows of the source that the target does not have.
    pub(super) missing: u64,
    /// The least number of rows of the target that the source does not have.
    pub(super) extra: u64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, source, target, missing, extra } = self;
        write!(
            f,
            "{table}: {source} rows in the source and {target} in the target; at least {missing} of the source are \
             not in the target, and at least {extra} of the target are not in the source"
        )
    }
}

/// The rows of a text that arrives in pieces: each ends with a line break, and has none in it.
#[derive(Default)]
pub(super) struct Rows {
    /// The beginning of a row whose end has not arrived.
    begun: Vec<u8>,
}

impl Rows {
    pub(super) fn each(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) {
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = line.ends_with(b"\n");
            if is_whole && self.begun.is_empty() {
                take(line);
                continue;
            }
            self.begun.extend_from_slice(line);
            if is_whole {
                take(&self.begun);
                self.begun.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: impl IntoIterator<Item = u32>) -> Digest {
        let mut digest = Digest::new();
        rows.into_iter().for_each(|row| digest.add(format!("{row}\tsome text\n").as_bytes()));
        digest
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_their_number_does() {
        let source = digest(0..100_000);
        assert_eq!(source.rows(), 100_000);
        assert_eq!(source.difference("notes", &digest((0..100_000).rev())), None);
        // The same row twice is two rows.
        let twice = digest((0..100_000).chain([7]));
        let difference = source.difference("notes", &twice).unwrap();
        assert_eq!((difference.missing, difference.extra), (0, 1));
    }

    #[test]
    fn rows_that_differ_are_counted() {
        let source = digest(0..1000);
        let one_less = source.difference("notes", &digest(1..1000)).unwrap();
        assert_eq!((one_less.source, one_less.target), (1000, 999));
        assert_eq!((one_less.missing, one_less.extra), (1, 0));
        let changed = source.difference("notes", &digest((1..1000).chain([5000]))).unwrap();
        assert_eq!((changed.missing, changed.extra), (1, 1));
        let none = source.difference("notes", &Digest::new()).unwrap();
        assert_eq!((none.missing, none.extra), (1000, 0));
    }

    #[test]
    fn a_row_may_arrive_in_pieces() {
        let text = b"a\tb\nc\n\nlonger\n";
        for cut in 0..text.len() {
            let (mut rows, mut all) = (Rows::default(), Vec::new());
            for piece in [&text[..cut], &text[cut..]] {
                rows.each(piece, |row| all.push(row.to_vec()));
            }
            assert_eq!(all, [&b"a\tb\n"[..], b"c\n", b"\n", b"longer\n"], "{cut}");
        }
    }
}
