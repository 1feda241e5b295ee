//! Gives memory that a program has freed back to the system.
//!
//! glibc keeps most of what is freed in its own pools, for later. After a flood of requests a process
//! can keep hundreds of megabytes that way. This crate asks glibc to return the free pages. Other
//! allocators return pages by themselves, and other systems have no such call: there it does nothing.

/// Has glibc return what is freed sooner: blocks of 4 MiB and more at once, and the free end of a pool
/// above 8 MiB. By itself glibc raises both bounds to what the program has used, 32 and 64 MiB for each
/// pool, and there is a pool for each thread. To be called once, before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "a call of the C library")]
pub fn keep_little() {
    const MIB: libc::c_int = 1024 * 1024;
    // SAFETY: `mallopt` takes two numbers and reads no memory of ours. It refuses what it does not know.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 * MIB);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 * MIB);
    }
}

/// Has glibc return what is freed sooner. There is none here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_little() {}

/// Returns free pages of glibc's allocator to the system. It takes milliseconds where much is free, and
/// other threads may wait for it. Says whether pages were returned.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "a call of the C library")]
pub fn trim() -> bool {
    // SAFETY: `malloc_trim` has no precondition. It is thread-safe (MT-Safe in its manual): it takes the
    // locks of the allocator itself, and releases only pages of chunks that are free.
    unsafe { libc::malloc_trim(0) == 1 }
}

/// Returns free pages of glibc's allocator to the system. There is none here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim() -> bool {
    false
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::fs;

    /// Resident memory in KiB.
    fn resident() -> usize {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Blocks that are freed between others stay with the allocator until it is trimmed.
    #[test]
    fn freed_blocks_leave_the_process() {
        let mut blocks: Vec<Vec<u8>> = (0..4_000).map(|_| vec![1; 60_000]).collect();
        let most = resident();
        assert!(most > 200_000, "{most} KiB");
        // The last block stays: without it glibc would return the end of its heap by itself.
        let last = blocks.pop();
        drop(blocks);
        super::trim();
        let left = resident();
        assert!(left < most / 4, "{most} KiB, and {left} KiB after the trim");
        assert_eq!(last.unwrap().len(), 60_000);
    }
}
