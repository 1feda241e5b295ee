//! A new migration rebuilds the module.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations/reports");
}
