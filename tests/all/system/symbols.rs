//! A program holds the modules of its process, and no others.

use super::shop::{MONOLITH, PLACEMENTS};
use std::{path::Path, process::Command};

const MODULES: [(&str, &str); 6] = [
    ("notifications", "notifications::NotificationsModule"),
    ("orders", "orders::OrdersModule"),
    ("payments", "payments::PaymentsModule"),
    ("reports", "reports::ReportsModule"),
    ("stock", "stock::StockModule"),
    ("users", "users::UsersModule"),
];

/// The modules whose code is in a program.
fn modules_in(program: &Path) -> Vec<&'static str> {
    let output = Command::new("nm")
        .args(["-C", "--defined-only"])
        .arg(program)
        .output()
        .expect("nm, of Debian's package binutils, must be installed");
    let symbols = String::from_utf8_lossy(&output.stdout);
    assert!(symbols.contains("monolift::app::"), "{} has no symbols", program.display());
    let crates: Vec<&str> = MODULES.iter().map(|(module, _)| *module).collect();
    let found: Vec<&str> = MODULES
        .iter()
        .filter(|(_, symbol)| symbols.contains(symbol))
        .map(|(module, _)| *module)
        .collect();
    for module in crates.into_iter().filter(|module| !found.contains(module)) {
        // Not its struct alone is absent, but all of its crate.
        let code = symbol_of(&symbols, module);
        assert_eq!(code, None, "{} has code of `{module}`", program.display());
    }
    found
}

/// The rest of the first line in which a path begins with `module::`.
fn symbol_of<'a>(symbols: &'a str, module: &str) -> Option<&'a str> {
    let path = format!("{module}::");
    let mut paths = symbols.match_indices(&path).map(|(at, _)| symbols.split_at(at));
    let (_, symbol) = paths.find(|(before, _)| {
        !before.ends_with(|letter: char| letter.is_alphanumeric() || "_:".contains(letter))
    })?;
    symbol.lines().next()
}

#[test]
fn a_program_holds_the_modules_of_its_process() {
    for placement in PLACEMENTS {
        for program in placement.programs {
            let file = placement.program(program.file);
            assert_eq!(modules_in(&file), program.modules, "{}", file.display());
        }
    }
    // Whatever the manifest says of it, a module's own program is that module.
    assert_eq!(modules_in(&MONOLITH.program("payments")), ["payments"]);
}

#[test]
fn a_crate_is_found_by_its_name() {
    let none =
        "000 t <orders_api::Order as serde::Serialize>::serialize\n000 t shop::orders::place\n";
    assert_eq!(symbol_of(none, "orders"), None);
    for (line, symbol) in [
        ("000 t <orders::OrdersModule as orders_api::Orders>::place", "orders::OrdersModule as "),
        ("000 t orders::order_id", "orders::order_id"),
    ] {
        let found = symbol_of(&format!("{none}{line}\n"), "orders").map(str::to_owned);
        assert!(found.as_deref().is_some_and(|found| found.starts_with(symbol)), "{found:?}");
    }
}
