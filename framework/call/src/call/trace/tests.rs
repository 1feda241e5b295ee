use super::*;
use crate::call::{CallSettings, spawn};
use std::collections::HashSet;

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// `traceparent` headers, and whether the trace goes on: then with which flags.
const PARENTS: &[(&str, &[&str], Option<bool>)] = &[
    ("as it should be", &[PARENT], Some(true)),
    ("not sampled", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"], Some(false)),
    (
        "flags that are not known",
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe"],
        Some(false),
    ),
    ("all flags", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"], Some(true)),
    (
        "blanks around it",
        &[" \t00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 \t"],
        Some(true),
    ),
    ("a later version", &["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], Some(true)),
    (
        "a later version with more fields",
        &["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-has"],
        Some(true),
    ),
    (
        "a later version whose flags are longer",
        &["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what"],
        None,
    ),
    ("none", &[], None),
    ("an empty one", &[""], None),
    ("two", &[PARENT, PARENT], None),
    (
        "two in one header",
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01,\
             00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        None,
    ),
    ("a capital in the trace", &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"], None),
    ("a capital in the parent", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00F067aa0ba902b7-01"], None),
    (
        "a capital in the version",
        &["0A-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        None,
    ),
    ("the version ff", &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], None),
    (
        "version 00 with more fields",
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
        None,
    ),
    (
        "version 00 with a hyphen behind it",
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-"],
        None,
    ),
    ("a trace of zeros", &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], None),
    ("a parent of zeros", &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"], None),
    ("a short trace", &["00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01"], None),
    ("a long trace", &["00-4bf92f3577b34da6a3ce929d0e0e47360-00f067aa0ba902b7-01"], None),
    ("a short parent", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01"], None),
    ("a short version", &["0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], None),
    ("a short flag", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"], None),
    ("no flags", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"], None),
    ("other letters", &["00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"], None),
    ("a sign", &["00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], None),
    ("underscores", &["00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"], None),
];

fn read(parents: &[&str], states: &[&str]) -> Traced {
    let (parents, states) = (parents.iter().copied().map(Some), states.iter().copied().map(Some));
    Traced::read(parents, states, Sampling::default())
}

#[test]
fn a_traceparent_is_read_as_the_w3c_has_it() {
    for (what, parents, goes_on) in PARENTS {
        let Traced { trace, state, begins } = read(parents, &["a=1"]);
        assert_eq!(begins, goes_on.is_none(), "{what}");
        let continued = format!("{:032x}", trace.trace_id) == ID;
        assert_eq!(continued.then_some(trace.sampled), *goes_on, "{what}");
        // Of a trace that does not go on, nothing is told.
        assert_eq!(state.is_some(), goes_on.is_some(), "{what}");
        if goes_on.is_some() {
            assert_eq!(trace.span_id, 0x00f0_67aa_0ba9_02b7, "{what}");
        }
        // What is sent on can be read, whatever came.
        assert_eq!(Trace::parse(&trace.to_string()), Some(trace), "{what}");
    }
    let not_text = Traced::read([None].into_iter(), std::iter::empty(), Sampling::default());
    assert_ne!(format!("{:032x}", not_text.trace.trace_id), ID);
}

/// `tracestate` headers, and what is passed on.
#[test]
fn a_tracestate_is_read_as_the_w3c_has_it() {
    let members = |count: usize| (0..count).map(|at| format!("k{at}=v{at}"));
    let list = |count| members(count).collect::<Vec<_>>().join(",");
    let (most, beyond) = (list(32), list(33));
    let halves = [list(32), list(33).rsplit_once(',').unwrap().1.to_owned()];
    let (key, longer_key) = ("k".repeat(256), "k".repeat(257));
    let (value, longer_value) = ("v".repeat(256), "v".repeat(257));
    let tenant = format!("{}@{}", "1".repeat(241), "s".repeat(14));
    let longer_tenant = format!("{}@s", "1".repeat(242));
    let longer_system = format!("t@{}", "s".repeat(15));
    let with = |key: &str, value: &str| format!("{key}={value}");
    let text = |headers: &[&str]| read(&[PARENT], headers).state.map(|state| state.to_string());
    let cases: Vec<(&str, Vec<&str>, Option<&str>)> = vec![
        ("one", vec!["congo=t61rcWkgMzE"], Some("congo=t61rcWkgMzE")),
        (
            "several",
            vec!["rojo=00f067aa0ba902b7,congo=t61"],
            Some("rojo=00f067aa0ba902b7,congo=t61"),
        ),
        ("several headers", vec!["a=1,b=2", "c=3"], Some("a=1,b=2,c=3")),
        ("blanks around members", vec!["a=1 \t,\t b=2"], Some("a=1,b=2")),
        ("a blank within a value", vec!["a=1 2,b=3"], Some("a=1 2,b=3")),
        ("empty members", vec!["a=1,,b=2,", ""], Some("a=1,b=2")),
        ("a tenant", vec!["fw529a3039@dt=FfAB"], Some("fw529a3039@dt=FfAB")),
        ("all that a key may have", vec!["a_-*/0=1"], Some("a_-*/0=1")),
        ("a system twice", vec!["a=1,b=2,a=3"], Some("a=1,b=2")),
        ("none", vec![], None),
        ("an empty header", vec![""], None),
        ("no value", vec!["a"], None),
        ("an empty value", vec!["a="], None),
        ("an empty key", vec!["=1"], None),
        ("two values", vec!["a=1=2"], None),
        ("a capital", vec!["Foo=1"], None),
        ("a key that begins with a digit", vec!["1a=1"], None),
        ("a blank behind a key", vec!["foo =1"], None),
        ("a system without a tenant", vec!["@foo=1"], None),
        ("a tenant without a system", vec!["foo@=1"], None),
        ("two systems", vec!["foo@bar@baz=1"], None),
        ("a system that begins with a digit", vec!["foo@1bar=1"], None),
        ("a control character", vec!["a=1\u{7}"], None),
        ("other letters", vec!["a=é"], None),
        ("one bad member among good ones", vec!["a=1,b", "c=3"], None),
        ("as many as may be", vec![&most], Some(&most)),
        ("one too many", vec![&beyond], None),
        ("one too many in two headers", vec![&halves[0], &halves[1]], None),
    ];
    for (what, headers, expected) in cases {
        assert_eq!(text(&headers).as_deref(), expected, "{what}");
    }
    for (taken, member) in [
        (true, with(&key, "1")),
        (false, with(&longer_key, "1")),
        (true, with("a", &value)),
        (false, with("a", &longer_value)),
        (true, with(&tenant, "1")),
        (false, with(&longer_tenant, "1")),
        (false, with(&longer_system, "1")),
    ] {
        assert_eq!(text(&[&member]), taken.then(|| member.clone()), "{member}");
    }
    assert_eq!(
        Traced::read([Some(PARENT)].into_iter(), [None].into_iter(), Sampling::default()).state,
        None
    );
}

#[test]
fn a_long_tracestate_loses_its_long_members_then_its_oldest() {
    let long = format!("long={}", "v".repeat(200));
    let short = |at: usize| format!("k{at:02}={}", "v".repeat(96));
    let all: Vec<String> = (0..21).map(short).collect();
    let state = |members: &[String]| read(&[PARENT], &[&members.join(",")]).state.unwrap();
    let with_long = [&[long][..], &all[..20]].concat();
    assert_eq!(state(&with_long).as_str(), all[..20].join(","));
    assert_eq!(state(&all).as_str(), all[..20].join(","));
}

#[test]
fn a_share_of_new_traces_is_sampled() {
    let sampled = |share: f64| (0..10_000).filter(|_| Sampling::of(share).start().sampled).count();
    assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
    let some = sampled(0.1);
    assert!((700..1_300).contains(&some), "{some}");
    // The same ids as other systems take.
    let tenth = Sampling::of(0.1);
    assert!(tenth.takes(0x0ccc_cccc_cccc_cccc) && !tenth.takes(0x1999_9999_9999_ff00));
    // A caller's decision stands.
    let parent = PARENT.replace("-01", "-00");
    let read =
        Traced::read([Some(parent.as_str())].into_iter(), std::iter::empty(), Sampling::of(1.0));
    assert!(!read.trace.sampled);
}

#[tokio::test]
async fn clients_of_a_module_continue_its_trace() {
    let headers = || trace_headers().collect::<Vec<_>>();
    assert_eq!(headers(), []);
    let Traced { trace, state, .. } = read(&[PARENT], &["a=1"]);
    let context = Context::edge(&CallSettings::default()).with_trace(trace);
    let parent = (TRACEPARENT, PARENT.to_owned());
    assert_eq!(context.clone().scope(async { headers() }).await, std::slice::from_ref(&parent));
    let context = context.with_trace_state(state);
    let both = [parent, (TRACESTATE, "a=1".to_owned())];
    let spawned = async { spawn(async { trace_headers().collect::<Vec<_>>() }).await.unwrap() };
    assert_eq!(context.scope(spawned).await, both);
}

#[test]
fn new_traces_differ() {
    let ids: HashSet<u128> = (0..1_000).map(|_| Trace::start().trace_id).collect();
    assert_eq!(ids.len(), 1_000);
}
