//! See `hostile`, which has the function.
#![no_main]

fuzz::target!("settings");
