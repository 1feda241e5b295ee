//! The dashboard, as a person sees it in a browser.

mod webdriver;

use super::{
    http::request,
    operate::park,
    processes::{Process, Run, eventually, free_port, is_ready},
    shop::{ALL_SPLIT, MONOLITH, Placement},
    tables::MODULES,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use webdriver::Browser;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ORDER: &str = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}"#;
/// How soon the map shows that a process has gone.
const RED: Duration = Duration::from_secs(3);

/// The variable that has the pictures of the documentation written anew.
const PICTURES: &str = "MONOLIFT_PICTURES";

/// A shop at work, and its dashboard in a browser.
struct Seen {
    browser: Browser,
    url: String,
    gateway: String,
    processes: BTreeMap<&'static str, Process>,
    placement: &'static Placement,
    run: Run,
}

impl Seen {
    fn start(placement: &'static Placement, name: &str) -> Self {
        let front = placement.programs.last().unwrap().process;
        let admin = free_port();
        let variable = format!("SHOP_PROCESS__{}__ADMIN", front.to_uppercase());
        let run = placement.run(name).with(&variable, &admin);
        let programs = placement.programs.iter();
        let mut processes: BTreeMap<&str, Process> = programs
            .map(|program| (program.process, run.start(&placement.program(program.file))))
            .collect();
        let gateway = processes.get_mut(front).unwrap().http();
        eventually("the gateway is ready", || is_ready(&gateway));
        let browser = Browser::start(name);
        Self { browser, url: format!("http://{admin}"), gateway, processes, placement, run }
    }

    /// Places an order as part of a trace.
    fn order(&self, trace: &str) {
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-00");
        let headers = [("traceparent", traceparent.as_str())];
        assert_eq!(request(&self.gateway, "POST", "/orders", &headers, ORDER).unwrap().status, 201);
    }

    /// Waits for a map with all modules of the shop.
    fn sees_all_modules(&self) {
        self.browser.open(&self.url);
        for module in MODULES {
            let shown = format!("document.querySelector('#map .module[data-module=\"{module}\"]')");
            self.browser.until(module, &shown);
        }
    }

    /// Writes what is seen to the pictures of the documentation, if that is asked for.
    fn picture(&self, name: &str) {
        if std::env::var_os(PICTURES).is_some() {
            let images =
                Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/images");
            self.browser.picture(&images.join(name));
        }
    }

    fn program(&self, process: &str) -> PathBuf {
        let programs = self.placement.programs.iter();
        let program = programs.clone().find(|program| program.process == process).unwrap();
        self.placement.program(program.file)
    }
}

/// Text of the page, as a person reads it.
fn says(text: &str) -> String {
    format!("document.body.innerText.includes({})", serde_json::Value::from(text))
}

#[test]
#[ignore = "needs Chromium; cargo xtask test --long"]
fn the_split_shop_is_watched_while_a_service_dies() {
    let mut seen = Seen::start(&ALL_SPLIT, "browser-split");
    seen.sees_all_modules();
    let process =
        |state: &str| format!("document.querySelector('.process.{state}[data-process=payments]')");
    seen.browser.until("payments is up", &process("up"));
    for number in 1..=12 {
        seen.order(&format!("{number:032x}"));
    }
    seen.order(TRACE);
    seen.browser.until("calls are shown", "document.querySelector('#map .way.remote text')");
    seen.picture("map.png");

    // The order, with each process that it went through.
    seen.browser.open(&format!("{}/#/trace/{TRACE}", seen.url));
    seen.browser.until("a waterfall", "document.querySelectorAll('.fall .row').length > 8");
    for hop in
        ["orders.place", "stock.reserve", "payments.authorise", "crossing: ", "INSERT INTO orders"]
    {
        seen.browser.until(hop, &says(hop));
    }
    let hops = "document.querySelectorAll('.fall .bar.remote').length >= 3";
    seen.browser.until("calls that crossed a network", hops);
    seen.picture("trace.png");

    // A service that dies, and comes back.
    seen.browser.open(&format!("{}/#/map", seen.url));
    seen.browser.until("payments is up", &process("up"));
    seen.processes.remove("payments").unwrap().kill();
    seen.browser.within(RED, "payments is red", &process("down"));
    let again = seen.run.start(&seen.program("payments"));
    seen.processes.insert("payments", again);
    seen.browser.until("payments is green again", &process("up"));
}

#[test]
#[ignore = "needs Chromium; cargo xtask test --long"]
fn the_monolith_is_worked_with_by_mouse_and_keyboard() {
    let seen = Seen::start(&MONOLITH, "browser-monolith");
    let browser = &seen.browser;
    park(&seen.run);
    seen.sees_all_modules();
    seen.order(TRACE);

    // By keyboard alone: to a module from the map, to the traces, and into the first filter.
    browser.run("document.querySelector('.module[data-module=orders]').focus()");
    browser.press(&["\u{E007}"]);
    browser.until("the page of orders", "location.hash === '#/module/orders'");
    browser.until("its parked work", "document.querySelectorAll('#work button').length >= 4");
    assert_eq!(browser.run("return document.body.innerText.includes('c4n4ry')"), false);
    browser.until("its calls", &says("(edge)"));
    seen.picture("module.png");
    browser.click("#work .doing button");
    browser.until("one runs again", &says("1 run again"));
    browser.click("#work .doing button:last-child");
    browser.until("it asks once more", &says("Really discard?"));
    browser.click("#work .doing button:last-child");
    browser.until("the other is given up", &says("1 given up"));
    browser.press(&["t"]);
    browser.until("the traces", "location.hash === '#/traces'");
    browser.until("the order", &says("POST /orders"));
    browser.press(&["/"]);
    browser.until("the first filter has the focus", "document.activeElement.name === 'of'");

    // Filters.
    browser.fill("[name=has]", "payments.authorise");
    browser.click("button[type=submit]");
    browser.until("the order is found", &says("POST /orders"));
    browser.fill("[name=has]", "no such thing");
    browser.click("button[type=submit]");
    browser.until("nothing is found", &says("None yet."));

    // A call by hand. What it is answered with is text, whatever it looks like.
    browser.open(&format!("{}/#/module/stock", seen.url));
    browser.until("a form", "document.querySelector('#by-hand select')");
    browser.run(
        "const methods = document.getElementById('method'); methods.value = 'stock.level'; \
                 methods.dispatchEvent(new Event('change'))",
    );
    browser.fill("#argument-sku", "<img src=x onerror=hacked=1>");
    browser.click("#by-hand button[type=submit]");
    browser.until("it is answered", &says("no product <img src=x onerror=hacked=1>"));
    assert_eq!(browser.run("return typeof hacked"), "undefined");
    assert_eq!(browser.run("return document.querySelectorAll('main img').length"), 0);

    // The log has who called.
    browser.open(&format!("{}/#/logs?text=operator", seen.url));
    browser.until("the audit", &says("an operator: a call of stock.level, answered with 404"));

    // A telephone, at night.
    browser.size(390, 800);
    browser.prefer("dark");
    let dark = "getComputedStyle(document.body).backgroundColor === 'rgb(18, 22, 28)'";
    browser.until("a dark page", dark);
    for page in ["map", "traces", "logs", "module/orders", &format!("trace/{TRACE}")] {
        browser.open(&format!("{}/#/{page}", seen.url));
        browser.until(page, "document.querySelector('main').children.length > 0");
        let fits = "document.documentElement.scrollWidth <= 390";
        browser.until(&format!("{page} is as wide as the telephone"), fits);
    }
}
