//! The machine on which something is measured.

/// A description of this machine.
pub fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{cores} cores of {model}, Linux {}", kernel.trim())
}
