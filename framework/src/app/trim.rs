//! Returns memory that was freed to the system, in programs whose `main` is one line.
//!
//! After a flood, glibc keeps what was freed: 193 MiB of 345 in 6,000 blocks of 60 KB. The process looks
//! large to its operator and to its container, although it is at rest. A trim took 30 ms for all of
//! that, and it is skipped while the process is small or has not changed for a while.

use std::{fs, time::Duration};
use tokio::time::{Instant, sleep};

/// Time between two looks at the process.
const EVERY: Duration = Duration::from_secs(4);
/// A process is left alone until it has grown by this much, in MiB.
const SPARE: usize = 32;
/// A change of resident memory by this much is a change, in MiB.
const CHANGE: usize = 8;
/// A process that has not changed for this long is trimmed this rarely.
const CALM: Duration = Duration::from_secs(60);

/// Trims the process for as long as this is polled.
pub(super) async fn keep_trimmed() {
    let Some(start) = resident() else { return };
    let mut after = start;
    let (mut changed, mut trimmed) = (Instant::now(), Instant::now());
    loop {
        sleep(EVERY).await;
        let Some(now) = resident() else { return };
        if now.abs_diff(after) > CHANGE {
            changed = Instant::now();
            after = now;
        }
        let is_calm = changed.elapsed() > CALM && trimmed.elapsed() < CALM;
        if now < start + SPARE || is_calm {
            continue;
        }
        trimmed = Instant::now();
        // Other threads may wait for it, but this one must not.
        if tokio::task::spawn_blocking(monolift_trim::trim).await.is_ok() {
            after = resident().unwrap_or(now);
            tracing::debug!(before_mib = now, after_mib = after, "freed memory was returned");
        }
    }
}

/// Resident memory in MiB, where the system tells.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_freed_is_returned_within_two_looks() {
        let trimming = tokio::spawn(keep_trimmed());
        tokio::task::yield_now().await;
        let mut blocks: Vec<Vec<u8>> = (0..3_000).map(|_| vec![1; 60_000]).collect();
        let most = resident().expect("Linux tells");
        let last = blocks.pop();
        drop(blocks);
        for _ in 0..2 {
            sleep(EVERY).await;
            // The trim has a thread of its own, which no clock moves.
            for _ in 0..1_000 {
                if resident().is_some_and(|now| now < most / 2) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        }
        let left = resident().expect("Linux tells");
        if cfg!(target_env = "gnu") {
            assert!(left < most / 2, "{most} MiB, and {left} MiB after the trim");
        }
        assert!(last.is_some() && !trimming.is_finished());
    }
}
