//! Two versions of a type, one on each side.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Old {
    id: u64,
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct New {
    note: Option<String>,
    #[serde(default)]
    tags: Vec<BTreeMap<u8, Choice>>,
    name: String,
    id: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    One,
    Two(u8, u8),
    Named { x: u8, y: u8 },
}

fn old() -> Old {
    Old { id: 1, name: "n".into() }
}

#[test]
fn fields_may_come_go_and_move() {
    let New { note, tags, name, id } = recoded(&old()).unwrap();
    assert_eq!((note, tags, name, id), (None, vec![], "n".to_owned(), 1));

    let new = New {
        note: Some("new".into()),
        tags: vec![BTreeMap::from([(1, Choice::Two(1, 2)), (2, Choice::One)])],
        name: "n".into(),
        id: 1,
    };
    assert_eq!(recoded(&new), Ok(old()));
    assert_eq!(message(recoded::<Old>(&Holding { value: 1 })), "missing field `id`");
}

#[test]
fn positions_are_never_trusted() {
    assert_eq!(
        message(recoded::<Old>(&(1_u64, "n"))),
        "invalid type: sequence, expected struct Old"
    );
    let by_index = BTreeMap::from([(0, 1)]);
    assert!(message(recoded::<Holding<u8>>(&by_index)).starts_with("invalid type: integer `0`"));
    let named = BTreeMap::from([("Named", (1, 2))]);
    assert!(message(recoded::<Choice>(&named)).starts_with("invalid type: sequence"));
    assert!(recoded::<Choice>(&0).is_err());
    assert!(recoded::<Choice>(&BTreeMap::from([(1, (1, 2))])).is_err());
    // Nor is an array longer or shorter than the tuple.
    assert_eq!(recoded::<(u8, u8)>(&(1, 2, 3)), Err(Error::Unread));
    assert!(recoded::<(u8, u8)>(&(1,)).is_err());
}

#[test]
fn variants_are_known_or_refused() {
    let error = message(recoded::<Choice>("Three"));
    assert_eq!(error, "unknown variant `Three`, expected one of `One`, `Two`, `Named`");
    assert!(recoded::<Choice>("Two").is_err());
    assert!(recoded::<Choice>(&BTreeMap::from([("One", 1)])).is_err());
    assert!(recoded::<Choice>(&BTreeMap::from([("One", ()), ("Two", ())])).is_err());
    assert!(recoded::<Choice>(&BTreeMap::<u8, u8>::new()).is_err());
    let more = BTreeMap::from([("Named", BTreeMap::from([("x", 1), ("y", 2), ("z", 3)]))]);
    assert_eq!(recoded(&more), Ok(Choice::Named { x: 1, y: 2 }));
}

#[test]
fn numbers_change_their_type_only_where_nothing_is_lost() {
    assert_eq!(recoded::<i8>(&100_u64), Ok(100));
    assert_eq!(message(recoded::<u8>(&256)), "invalid value: integer `256`, expected u8");
    assert_eq!(message(recoded::<u8>(&-1)), "invalid value: integer `-1`, expected u8");
    assert_eq!(recoded::<f64>(&u32::MAX), Ok(4_294_967_295.0));
    assert_eq!(recoded::<f64>(&i64::MIN), Ok(i64::MIN as f64));
    assert_eq!(recoded::<f64>(&(1_u64 << 53)), Ok(9_007_199_254_740_992.0));
    assert!(recoded::<f64>(&((1_u64 << 53) + 1)).is_err());
    assert!(recoded::<f64>(&u64::MAX).is_err());
    assert_eq!(recoded::<f32>(&-16_777_216), Ok(-16_777_216.0));
    assert!(recoded::<f32>(&16_777_217).is_err());
    assert_eq!(recoded::<f64>(&0.1_f32), Ok(0.1_f32.into()));
    assert_eq!(recoded::<f32>(&0.5_f64), Ok(0.5));
    assert!(recoded::<f32>(&0.1_f64).is_err());
    assert!(recoded::<f32>(&f64::MAX).is_err());
    assert!(recoded::<f32>(&f64::NAN).unwrap().is_nan());
    assert!(recoded::<u8>(&1.0).is_err());
    // Forms that another MessagePack writer may choose.
    assert_eq!(value_of::<u8>(&[0xd3, 0, 0, 0, 0, 0, 0, 0, 5]), Ok(5));
    assert_eq!(value_of::<i8>(&[0xd0, 0x80]), Ok(-128));
}
