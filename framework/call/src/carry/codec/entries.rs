//! The entries of an encoded map, one by one and undecoded: for arguments that only one side of a call knows.

use super::{
    Bounds, Error, NIL,
    read::{Head, Reader},
    write::{MAP, Writer},
};

/// Whether an encoded value is `None`, or nothing at all.
pub fn is_none(value: &[u8]) -> bool {
    value == [NIL]
}

/// The map without the entries that `keep` does not want. It is given the name and the encoded value of each.
///
/// # Errors
///
/// If `map` is not a map with names.
pub fn retain(map: &[u8], mut keep: impl FnMut(&str, &[u8]) -> bool) -> Result<Vec<u8>, Error> {
    let mut kept = Vec::new();
    for entry in Entries::of(map)? {
        let Entry { name, value, whole } = entry?;
        if keep(name, value) {
            kept.push(whole);
        }
    }
    let mut out = Vec::with_capacity(map.len());
    let bounds = Bounds { bytes: map.len(), ..Bounds::default() };
    let mut writer = Writer::new(&mut out, bounds);
    writer.header(MAP, kept.len())?;
    kept.into_iter().try_for_each(|entry| writer.body(entry))?;
    Ok(out)
}

/// An entry, as it is encoded.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a [u8],
    whole: &'a [u8],
}

/// Reads the entries of a map. It ends after an error.
pub(super) struct Entries<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn of(map: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(map);
        let Head::Map(left) = reader.head()? else { return Err(not_named()) };
        Ok(Self { reader, left })
    }

    fn entry(&mut self) -> Result<Entry<'a>, Error> {
        let before = self.reader.rest;
        let Head::Str(length) = self.reader.head()? else { return Err(not_named()) };
        let name = self.reader.str(length)?;
        let value = self.reader.rest;
        self.reader.skip()?;
        let after = self.reader.rest.len();
        let (value, whole) = (&value[..value.len() - after], &before[..before.len() - after]);
        Ok(Entry { name, value, whole })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.entry();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

fn not_named() -> Error {
    Error::Custom("the arguments are not a map with their names".to_owned())
}
