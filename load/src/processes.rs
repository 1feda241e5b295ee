//! CPU time and memory of processes.

use std::{fs, io, time::Duration};

/// The CPU time that all threads of process `id` have used so far.
///
/// # Errors
///
/// If there is no such process, or its times cannot be read.
pub fn time_of(id: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread that ends meanwhile is skipped. It has used little time.
        let Ok(times) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanos += times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// The CPU time of several processes.
///
/// # Errors
///
/// As for [`time_of`].
pub fn time_of_all(ids: &[u32]) -> io::Result<Duration> {
    ids.iter().map(|id| time_of(*id)).sum()
}

/// The memory that process `id` uses now, in bytes.
///
/// # Errors
///
/// If there is no such process.
pub fn memory_of(id: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map(|count| count * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_costs_something() {
        let own = std::process::id();
        let before = time_of(own).expect("our own times");
        let until = std::time::Instant::now() + Duration::from_millis(30);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        let after = time_of_all(&[own]).expect("our own times");
        assert!(after > before);
        assert!(memory_of(own).expect("our own memory") > 100_000);
        assert!(time_of(u32::MAX).is_err() && memory_of(u32::MAX).is_err());
    }
}
