use super::*;
use crate::state::{Listening, OtherState, ReplicaView};

fn state(
    process: &str,
    pid: u32,
    modules: &[&str],
    others: &[(&str, &[&str], usize)],
) -> ProcessState {
    ProcessState {
        process: process.to_owned(),
        pid,
        modules: modules.iter().map(|&module| module.to_owned()).collect(),
        ready: true,
        others: others
            .iter()
            .map(|(process, modules, replicas)| OtherState {
                process: (*process).to_owned(),
                modules: modules.iter().map(|&module| module.to_owned()).collect(),
                replicas: vec![ReplicaView::default(); *replicas],
            })
            .collect(),
        ..ProcessState::default()
    }
}

fn call(caller: &str, module: &str, placement: &str, answered: u64, failed: u64) -> CallFigures {
    CallFigures {
        caller: caller.to_owned(),
        module: module.to_owned(),
        placement: placement.to_owned(),
        answered,
        failed,
        p99_us: 250.0,
        ..CallFigures::default()
    }
}

fn split() -> Vec<ProcessState> {
    let mut gateway = state("gateway", 1, &[], &[("orders", &["orders"], 1)]);
    gateway.calls = vec![call("(edge)", "orders", "remote", 30, 0)];
    let mut orders = state("orders", 2, &["orders"], &[("stock", &["stock"], 2)]);
    orders.calls = vec![
        call("(process)", "orders", "served", 30, 0),
        call("orders", "stock", "remote", 20, 10),
    ];
    vec![gateway, orders, state("stock", 3, &["stock"], &[])]
}

#[test]
fn ways_are_what_happened_since_the_last_look() {
    let now = split();
    let mut before = split();
    before[1].calls[1].answered = 10;
    before[1].calls[1].failed = 0;
    let ways = ways(&before, &now, 2.0);
    let to_stock = ways[&("orders".to_owned(), "stock".to_owned())];
    let expected =
        Traffic { calls_per_second: 10.0, failed_per_second: 5.0, p99_us: 250.0, remote: true };
    assert_eq!(to_stock, expected);
    assert_eq!(ways.len(), 2, "{ways:?}");
}

#[test]
fn callers_stand_to_the_left_and_lost_replicas_are_told() {
    let states = split();
    let ways = ways(&[], &states, 1.0);
    let groups = groups(&states, &ways);
    let columns: Vec<_> = groups
        .iter()
        .map(|group| (group.name.as_str(), group.column, group.up, group.known))
        .collect();
    assert_eq!(columns, [("gateway", 0, 1, 1), ("orders", 1, 1, 1), ("stock", 2, 1, 2)]);
    let svg = draw(&states, &ways);
    assert!(svg.contains("class=\"process partly\" data-process=\"stock\""), "{svg}");
    assert!(svg.contains("class=\"way remote failing\""), "{svg}");
    // One that does not answer is known from those that call it.
    let svg = draw(&states[..2], &ways);
    assert!(svg.contains("class=\"process down\" data-process=\"stock\""), "{svg}");
}

#[test]
fn fifty_modules_have_fifty_places_and_circles_end() {
    let names: Vec<String> = (0..50).map(|at| format!("module-{at:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut first = state("first", 1, &names[..30], &[]);
    first.calls = vec![call("module-00", "module-40", "remote", 1, 0)];
    let mut second = state("second", 2, &names[30..], &[]);
    second.calls = vec![call("module-40", "module-00", "remote", 1, 0)];
    let states = [first, second];
    let svg = draw(&states, &ways(&[], &states, 1.0));
    let boxes: BTreeSet<&str> = svg
        .split("class=\"module\"")
        .skip(1)
        .filter_map(|rest| rest.split_once("<rect ")?.1.split_once(" width"))
        .map(|(place, _)| place)
        .collect();
    assert_eq!(boxes.len(), 50, "{boxes:?}");
}

#[test]
fn names_are_text() {
    let svg = draw(&[state("a<b>\"&", 1, &[], &[])], &Ways::new());
    assert!(svg.contains("a&lt;b&gt;&quot;&amp;") && !svg.contains("a<b>"), "{svg}");
}

fn listens(listener: &str, publisher: &str, event: &str) -> Listening {
    let [listener, publisher, event] = [listener, publisher, event].map(str::to_owned);
    Listening { listener, publisher, event }
}

#[test]
fn events_have_arrows_of_their_own_from_the_publisher_to_the_listener() {
    let mut states = split();
    states[2].listens = vec![
        listens("stock", "orders", "order-placed"),
        listens("stock", "orders", "order-cancelled"),
        listens("stock", "nowhere", "nothing"),
    ];
    let svg = draw(&states, &ways(&[], &states, 1.0));
    assert_eq!(svg.matches("class=\"way events\"").count(), 1, "{svg}");
    assert!(svg.contains("stock listens to orders: order-cancelled, order-placed"), "{svg}");
}

#[test]
fn circles_of_events_are_listed() {
    let mut one = state("monolith", 1, &["a", "b", "c", "d"], &[]);
    one.listens = vec![
        listens("b", "a", "x"),
        listens("c", "b", "y"),
        listens("a", "c", "z"),
        // It hears of the circle, and is not in it.
        listens("d", "c", "z"),
    ];
    assert_eq!(events::circles(&[one.clone()]), [["a", "b", "c"]]);
    one.listens.remove(2);
    assert_eq!(events::circles(&[one.clone()]), [[""; 0]; 0]);
    one.listens.push(listens("d", "d", "own"));
    assert_eq!(events::circles(&[one]), [["d"]]);
}
