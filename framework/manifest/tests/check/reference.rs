//! The reference of all settings says of each key what its definition says: its default and its doc line.

use std::fs;
use std::path::Path;

use monolift_manifest::{
    Calls, Databases, Given, Http, IdentityKeys, IssuerKeys, Key, Limits, Observe, Otlp, Process,
    Retries, Section, TlsKeys,
};

/// The lines below a header, up to the next blank one, as key, value and comment.
fn lines_below<'a>(reference: &'a str, header: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let uncommented = reference.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line));
    let below = uncommented.skip_while(|line| !line.starts_with(header)).skip(1);
    let lines = below.take_while(|line| !line.is_empty() && !line.starts_with('['));
    let parts = lines.filter_map(|line| {
        let (key, rest) = line.split_once(" = ")?;
        let (value, doc) = rest.split_once(" # ")?;
        Some((key, value.trim(), doc.trim()))
    });
    parts.collect()
}

/// What differs, as the line that the reference should have.
fn missing<S: Section>(reference: &str, header: &str, default: &S) -> Vec<String> {
    let lines = lines_below(reference, header);
    let told = |key: &Key<S>| {
        let default = key.show(default);
        let stated = lines.iter().find(|(name, ..)| *name == key.name);
        let same = stated.is_some_and(|(_, value, doc)| {
            let value_fits =
                default.as_ref().is_none_or(|default| value.trim_matches('"') == default);
            value_fits && *doc == key.doc.trim()
        });
        let value = default.unwrap_or_else(|| "…".to_owned());
        (!same).then(|| format!("{header} {} = {value} # {}", key.name, key.doc.trim()))
    };
    S::KEYS.iter().filter_map(told).collect()
}

#[test]
fn every_key_is_in_the_reference_with_its_default_and_its_doc_line() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../settings.reference.toml");
    let reference = fs::read_to_string(file).expect("the reference");
    let mut wrong = missing(&reference, "[process.monolith]", &Process::default());
    wrong.extend(missing(&reference, "[process.payments.retries]", &Retries::default()));
    wrong.extend(missing(&reference, "[calls]", &Calls::default()));
    wrong.extend(missing(&reference, "[http]", &Http::default()));
    wrong.extend(missing(&reference, "[identity]", &IdentityKeys::default()));
    wrong.extend(missing(&reference, "[identity.issuers.shop]", &IssuerKeys::default()));
    wrong.extend(missing(&reference, "[observe]", &Observe::default()));
    wrong.extend(missing(&reference, "[observe.otlp]", &Otlp::default()));
    wrong.extend(missing(&reference, "[tls]", &TlsKeys::default()));
    wrong.extend(missing(&reference, "[limits]", &Limits::default()));
    wrong.extend(missing(&reference, "[db]", &Databases::default()));
    assert!(wrong.is_empty(), "settings.reference.toml should have\n{}", wrong.join("\n"));
}

/// A default is a value that its own key takes, from a file and from the environment.
#[test]
fn every_default_is_taken() {
    fn taken<S: Section + Default + PartialEq + std::fmt::Debug>() {
        for key in S::KEYS {
            let Some(shown) = key.show(&S::default()) else { continue };
            let mut section = S::default();
            let number = || shown.parse().map(Given::Whole).ok();
            let truth = || shown.parse().map(Given::Truth).ok();
            let from_file = number().or_else(truth).unwrap_or(Given::Text(&shown));
            assert_eq!(key.set(&mut section, from_file), Ok(()), "{}", key.name);
            assert_eq!(key.set(&mut section, Given::Variable(&shown)), Ok(()), "{}", key.name);
            assert_eq!(section, S::default());
        }
        assert_eq!(S::default().contradiction(), None);
    }
    taken::<Process>();
    taken::<Retries>();
    taken::<Calls>();
    taken::<Http>();
    taken::<IdentityKeys>();
    taken::<IssuerKeys>();
    taken::<Observe>();
    taken::<TlsKeys>();
    taken::<Limits>();
    taken::<Databases>();
}
