//! What stands behind the name of a program of one line: commands of operation, or nothing, which starts the process.

use super::{App, Linked};
use crate::module::{StartError, StartErrors};
use monolift_manifest::Address;
use monolift_observe::operate::{self, Place};
use serde_json::json;
use std::{env, path::Path, process::ExitCode};

/// The command that this program has beside those of operation.
const MIGRATE: &str = "migrate";

/// Runs the command that stands on the command line. `None` if the process is to be started, or to be migrated.
pub(super) fn command(linked: Linked) -> Option<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let first = arguments.first()?.as_str();
    let program = env::args().next().unwrap_or_default();
    let program =
        Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match first {
        MIGRATE => None,
        "help" | "--help" | "-h" => Some(operate::say(&help(&program))),
        name if operate::is_command(name) => Some(match place(linked, program) {
            Ok(place) => operate::run(&place, &arguments),
            Err(errors) => {
                eprintln!("{errors}");
                ExitCode::FAILURE
            }
        }),
        other => {
            let near = operate::nearest_command(other, [MIGRATE, "help"]);
            let near = near.map_or_else(
                || format!("`{program} help` lists the commands"),
                |near| format!("did you mean `{near}`?"),
            );
            eprintln!("there is no command `{other}`: {near}");
            Some(ExitCode::from(2))
        }
    }
}

fn help(program: &str) -> String {
    format!(
        "{program}\n\nWithout a command it runs its process of the manifest.\n\n  \
         migrate   applies the migrations of its modules, and starts nothing\n{}",
        operate::help()
    )
}

/// The process that the program would run, as the manifest and the settings have it.
fn place(linked: Linked, program: String) -> Result<Place, StartErrors> {
    let app = App::read(linked)?;
    let process = app.place.manifest.processes.get(&app.place.process);
    let texts = |addresses: Vec<Address>| addresses.into_iter().map(|address| address.to_string());
    let wrong = |error: String| StartErrors::from(StartError::new(error));
    Ok(Place {
        program,
        app: app.place.manifest.app.clone(),
        process: Some(app.place.process.clone()),
        admins: process.into_iter().flat_map(|process| texts(process.admins())).collect(),
        others: process
            .into_iter()
            .flat_map(|process| texts(process.listens()).chain(texts(process.https())))
            .collect(),
        runs: env::current_exe().unwrap_or_default(),
        token: app.settings.own("admin_token").map_err(|errors| wrong(errors.to_string()))?,
        settings: app.settings_in_force().iter().map(|setting| json!(setting)).collect(),
    })
}
