//! A program holds the modules of its process, and no others.

use super::shop::{MONOLITH, PLACEMENTS};
use std::{path::Path, process::Command};

const MODULES: [(&str, &str); 5] = [
    ("notifications", "notifications::NotificationsModule"),
    ("orders", "orders::OrdersModule"),
    ("payments", "payments::PaymentsModule"),
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
        let of_crate = symbols.lines().find(|line| names_crate(line, module));
        assert_eq!(of_crate, None, "{} has code of `{module}`", program.display());
    }
    found
}

/// Whether a symbol has `module::` in it, and that as a whole path's beginning.
fn names_crate(symbol: &str, module: &str) -> bool {
    let path = format!("{module}::");
    symbol.match_indices(&path).any(|(at, _)| {
        let before = symbol[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "_:".contains(letter))
    })
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
    assert!(names_crate("000 t <orders::OrdersModule as orders_api::Orders>::place", "orders"));
    assert!(names_crate("000 t orders::order_id", "orders"));
    assert!(!names_crate("000 t <orders_api::Order as serde::Serialize>::serialize", "orders"));
    assert!(!names_crate("000 t shop::orders::place", "orders"));
}
