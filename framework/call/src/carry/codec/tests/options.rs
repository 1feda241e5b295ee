//! Options of options, of units, and of all that looks like nil.

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper<T>(T);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Loose {
    Empty,
    Number(i64),
    Deep(Option<Option<String>>),
}

#[test]
fn every_depth_is_distinct() {
    type Four<T> = Option<Option<Option<Option<T>>>>;
    fn all<T: Serialize + DeserializeOwned + PartialEq + Debug + Clone>(value: T) {
        let four: [Four<T>; 5] = [
            None,
            Some(None),
            Some(Some(None)),
            Some(Some(Some(None))),
            Some(Some(Some(Some(value)))),
        ];
        for value in four.clone() {
            survives(value.clone());
            survives(vec![value.clone(), None, value.clone()]);
            survives(Wrapper(Some(Wrapper(value.clone()))));
            survives((value.clone(), Ok::<_, ()>(value)));
        }
        let mut encoded = four.map(|value| bytes_of(&value)).to_vec();
        encoded.sort();
        encoded.dedup();
        assert_eq!(encoded.len(), 5);
    }
    all(());
    all(7);
    all("text".to_owned());
    all(Wrapper(()));
    all(vec![None, Some(())]);
    all(serde_json::Value::Null);
}

#[test]
fn an_option_costs_nothing_where_it_can() {
    assert_eq!(bytes_of(&Some(5)), bytes_of(&5));
    assert_eq!(bytes_of(&Some(Some(5))), bytes_of(&5));
    assert_eq!(bytes_of(&None::<u8>), [0xc0]);
    assert_eq!(bytes_of(&Some(())), [0xc1, 0xc0]);
    assert_eq!(bytes_of(&Some(Some(None::<u8>))), [0xc1, 0xc1, 0xc0]);
    assert_eq!(bytes_of(&[Some(None), Some(Some('x'))]), [0x92, 0xc1, 0xc0, 0xa1, b'x']);
}

#[test]
fn vectors_of_nested_options() {
    survives(vec![None, Some(None), Some(Some(()))]);
    survives(vec![Some(Loose::Empty), None]);
    survives(vec![Loose::Number(1), Loose::Deep(Some(Some("x".into())))]);
    survives(Loose::Deep(Some(None)));
    survives(Some(Some(Loose::Deep(Some(None)))));
}

#[test]
fn one_option_less_at_the_reader_is_refused() {
    assert_eq!(
        message(recoded::<Option<u8>>(&Some(None::<u8>))),
        "invalid type: unit value, expected u8"
    );
    assert_eq!(message(recoded::<u8>(&Some(()))), "invalid type: Option value, expected u8");
    assert_eq!(recoded::<Option<Option<u8>>>(&None::<u8>), Ok(None));
}

#[test]
fn a_mark_stands_only_before_nil_or_a_mark() {
    assert_eq!(value_of::<Option<u8>>(&[0xc1, 5]), Err(Error::StrayMark));
    assert_eq!(value_of::<Option<u8>>(&[0xc1]), Err(Error::Truncated));
    assert_eq!(value_of::<serde_json::Value>(&[0xc1, 5]), Err(Error::StrayMark));
}
