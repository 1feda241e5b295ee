//! The runtime that targets with sockets or timers run on: one for each thread, made once.

use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime =
        Builder::new_current_thread().enable_time().build().expect("a runtime of one thread");
}

pub(crate) fn block_on<F: Future>(work: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(work))
}
