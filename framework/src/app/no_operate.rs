//! A program without the feature `observe`: it has no commands but `migrate`.

use super::Linked;
use std::{env, process::ExitCode};

/// Refuses any other command.
pub(super) fn command(_: Linked) -> Option<ExitCode> {
    let other = env::args().nth(1).filter(|first| first != "migrate")?;
    eprintln!(
        "there is no command `{other}`: start the program without one, or with `migrate`; the commands of operation \
         need the feature `observe` of `monolift`"
    );
    Some(ExitCode::from(2))
}
