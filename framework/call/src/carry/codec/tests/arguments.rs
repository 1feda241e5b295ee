//! Arguments that only one side knows.

use super::super::{decode_arguments, is_none, retain};
use super::*;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    id: u64,
    #[serde(default)]
    most: Option<u32>,
}

#[derive(Serialize)]
struct Sent<T> {
    limit: T,
    id: u64,
}

fn arguments<T: DeserializeOwned>(sent: &impl Serialize) -> Result<T, Error> {
    decode_arguments(&bytes_of(sent), BOUNDS)
}

fn refused<T: DeserializeOwned + Debug>(sent: &impl Serialize) -> String {
    arguments::<T>(sent).unwrap_err().to_string()
}

#[test]
fn an_argument_that_is_not_known_is_refused_unless_it_is_none() {
    let known = Known { id: 7, most: Some(1) };
    assert_eq!(arguments(&known), Ok(Known { id: 7, most: Some(1) }));
    assert_eq!(arguments(&Sent { limit: None::<u32>, id: 7 }), Ok(Known { id: 7, most: None }));
    assert_eq!(
        refused::<Known>(&Sent { limit: Some(1), id: 7 }),
        "no argument is called `limit` in this version of the interface: the method takes `id`, `most`"
    );
    // Nested options, and what looks empty, are values.
    assert!(arguments::<Known>(&Sent { limit: Some(None::<u32>), id: 7 }).is_err());
    assert!(arguments::<Known>(&Sent { limit: "", id: 7 }).is_err());
    // A method without arguments is held to the same.
    #[derive(Debug, Deserialize)]
    struct Nothing {}
    assert!(refused::<Nothing>(&Sent { limit: 1, id: 7 }).ends_with("the method takes none"));
}

#[test]
fn a_field_of_an_argument_that_is_not_known_is_ignored() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Holds {
        one: Known,
        rest: IgnoredAny,
    }
    let sent =
        BTreeMap::from([("one", Sent { limit: 1, id: 7 }), ("rest", Sent { limit: 1, id: 8 })]);
    let one = Known { id: 7, most: None };
    assert_eq!(arguments(&sent), Ok(Holds { one, rest: IgnoredAny }));
}

#[test]
fn what_is_said_of_a_long_name_is_short() {
    let sent = BTreeMap::from([("id".to_owned(), 1), ("é".repeat(100_000), 2)]);
    assert!(refused::<Known>(&sent).len() < 1_000);
}

#[test]
fn entries_are_kept_as_they_are_encoded() {
    let sent = bytes_of(&Sent { limit: Some(None::<u32>), id: 70_000 });
    let mut seen = Vec::new();
    let kept = retain(&sent, |name, value| {
        seen.push((name.to_owned(), value.to_vec()));
        name != "limit"
    });
    assert_eq!(
        value_of::<BTreeMap<String, u64>>(&kept.unwrap()),
        Ok([("id".to_owned(), 70_000)].into())
    );
    assert_eq!(
        seen,
        [("limit".to_owned(), vec![0xc1, 0xc0]), ("id".to_owned(), bytes_of(&70_000))]
    );
    assert!(is_none(&bytes_of(&None::<u8>)) && !is_none(&seen[0].1));
    assert_eq!(retain(&sent, |_, _| true).unwrap(), sent);
    // A map of many entries has a longer header.
    let many: BTreeMap<String, u8> = (0..40).map(|at| (at.to_string(), at)).collect();
    let few = retain(&bytes_of(&many), |name, _| name.len() == 1).unwrap();
    assert_eq!(value_of::<BTreeMap<String, u8>>(&few).unwrap().len(), 10);
    assert!(retain(&bytes_of(&[1]), |_, _| true).is_err());
    assert!(retain(&sent[..4], |_, _| true).is_err());
}
