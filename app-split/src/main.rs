//! Builds and starts every process of `deployment.toml` on this machine: `cargo run -p app-split`. With
//! `-- --only gateway,orders` it starts only these, and with `--fakes` answers the calls of the others with examples.

fn main() -> std::process::ExitCode {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/deployment.toml");
    monolift_cli::up::main(manifest.as_ref())
}
