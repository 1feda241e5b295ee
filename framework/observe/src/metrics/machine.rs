//! What the process takes of its machine, under the names that Prometheus's own clients use.

use super::{Kind, Page};
use std::fs;

/// Linux counts CPU time in hundredths of a second, and memory in pages.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4_096;

/// Adds what the system says of this process. Where it says nothing, there is nothing to add.
pub fn machine(page: &mut Page) {
    let Some(stat) = fs::read_to_string("/proc/self/stat").ok() else { return };
    let Some(stat) = Stat::read(&stat) else { return };
    page.family("process_cpu_seconds_total", Kind::Counter, "CPU time of all threads.")
        .sample(&[], stat.ticks as f64 / TICKS);
    page.family("process_resident_memory_bytes", Kind::Gauge, "Resident memory.")
        .sample(&[], stat.pages * PAGE);
    page.family("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory.")
        .sample(&[], stat.virtual_bytes);
    page.family("process_threads", Kind::Gauge, "Threads.").sample(&[], stat.threads);
    if let Some(began) = began(stat.began_ticks) {
        page.family(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the process began, since 1970.",
        )
        .sample(&[], began);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.family("process_open_fds", Kind::Gauge, "Open files and sockets.")
            .sample(&[], open.count());
    }
}

/// Resident memory, in bytes; 0 where the system does not say.
pub fn resident() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    stat.and_then(|stat| Stat::read(&stat)).map_or(0, |stat| stat.pages * PAGE)
}

/// The fields of `/proc/self/stat` that are shown.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ticks: u64,
    threads: u64,
    began_ticks: u64,
    virtual_bytes: u64,
    pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The second field is the program's name, which may itself hold spaces and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // The third field of the file is the first one here.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            ticks: field(14)? + field(15)?,
            threads: field(20)?,
            began_ticks: field(22)?,
            virtual_bytes: field(23)?,
            pages: field(24)?,
        })
    }
}

/// Seconds since 1970 at which the process began.
fn began(ticks: u64) -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + ticks as f64 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_behind_any_name() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 7 0 1234 99999 55 0";
        let expected =
            Stat { ticks: 300, threads: 7, began_ticks: 1234, virtual_bytes: 99_999, pages: 55 };
        assert_eq!(Stat::read(stat), Some(expected));
        assert_eq!(Stat::read("42"), None);
    }
}
