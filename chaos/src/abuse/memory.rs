//! The memory of the shop's processes: what the system says that they hold, and the buffers that they count
//! themselves.

use super::place::AbusedShop;
use load::processes::memory_of;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

pub(super) const MIB: f64 = 1024.0 * 1024.0;
/// The bound of a process's buffers, unless settings say otherwise: `limits.memory`.
const BUFFERS: u64 = 256 << 20;
/// What may stay of what a process took.
const STAYS: u64 = 64 << 20;
/// A process that takes more is killed, so that the machine stays well.
const TOO_MUCH: u64 = 4 << 30;
const EACH: Duration = Duration::from_millis(50);
/// A process is asked for its own figure at each fifth sample.
const ASK: usize = 5;

/// The memory of one process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    before: u64,
    most: u64,
    after: u64,
    /// The most buffers in use, by its own count.
    buffers: Option<u64>,
    killed: bool,
}

impl Memory {
    /// What is used of the bound: by its own count, or all that it has taken, as long as it counts nothing.
    fn in_buffers(&self) -> u64 {
        self.buffers.unwrap_or_else(|| self.most.saturating_sub(self.before))
    }

    fn stays(&self) -> u64 {
        self.after.saturating_sub(self.before)
    }

    pub(super) fn was_killed(&self) -> bool {
        self.killed
    }

    pub(super) fn holds(&self) -> bool {
        !self.killed && self.in_buffers() <= BUFFERS && self.stays() <= STAYS
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB;
        let Self { before, most, after, .. } = *self;
        write!(f, "{:.0} → {:.0} MiB", mib(before), mib(most))?;
        if self.killed {
            return write!(f, ", killed");
        }
        write!(f, ", then {:.0}", mib(after))?;
        match self.buffers {
            Some(buffers) => write!(f, "; buffers {:.0}", mib(buffers)),
            None => write!(f, "; buffers not counted"),
        }
    }
}

/// Looks at all the processes while something is done to them.
#[derive(Default)]
pub(super) struct Watch {
    processes: BTreeMap<&'static str, Memory>,
    samples: usize,
}

impl Watch {
    /// Begins with how it is now.
    pub(super) fn begin(place: &AbusedShop) -> Self {
        let mut processes = BTreeMap::new();
        for (process, now) in all(place) {
            processes.insert(process, Memory { before: now, most: now, ..Memory::default() });
        }
        Self { processes, samples: 0 }
    }

    /// Looks until `done` is ready.
    pub(super) async fn during<T>(
        &mut self,
        place: &mut AbusedShop,
        done: impl Future<Output = T>,
    ) -> T {
        let mut done = std::pin::pin!(done);
        loop {
            tokio::select! {
                done = done.as_mut() => return done,
                () = sleep(EACH) => self.sample(place).await,
            }
        }
    }

    async fn sample(&mut self, place: &mut AbusedShop) {
        self.samples += 1;
        for (process, now) in all(place) {
            let memory = self.processes.entry(process).or_default();
            memory.most = memory.most.max(now);
            if now > TOO_MUCH {
                memory.killed = true;
            }
            if self.samples.is_multiple_of(ASK)
                && let Some(buffers) = place.reports.buffers(process).await
            {
                memory.buffers = memory.buffers.max(Some(buffers));
            }
        }
        for replica in &mut place.replicas {
            if self.processes.get(replica.process).is_some_and(|memory| memory.killed) {
                // One that has ended already is as good.
                let _ = replica.kill();
            }
        }
    }

    /// Takes a last sample some time after the end. The process that took the most comes first.
    pub(super) async fn end(
        mut self,
        place: &mut AbusedShop,
        later: Duration,
    ) -> Vec<(&'static str, Memory)> {
        self.during(place, sleep(later)).await;
        for (process, now) in all(place) {
            self.processes.entry(process).or_default().after = now;
        }
        let mut processes: Vec<_> = self.processes.into_iter().collect();
        processes.sort_by_key(|(_, memory)| std::cmp::Reverse(memory.most - memory.before));
        processes
    }
}

/// What each process that is up holds now.
fn all(place: &AbusedShop) -> impl Iterator<Item = (&'static str, u64)> {
    place.replicas.iter().filter_map(|replica| {
        let now = memory_of(replica.id()?).ok()?;
        Some((replica.process, now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBI: u64 = 1 << 20;

    #[test]
    fn memory_holds_while_it_is_bounded_and_comes_back() {
        let well =
            Memory { before: 20 * MEBI, most: 270 * MEBI, after: 80 * MEBI, ..Memory::default() };
        assert!(well.holds());
        assert!(!Memory { after: 85 * MEBI, ..well }.holds());
        assert!(!Memory { killed: true, ..well }.holds());
        // As long as a process counts nothing, all that it takes may be buffers.
        let more = Memory { most: 277 * MEBI, ..well };
        assert!(!more.holds());
        assert!(Memory { buffers: Some(200 * MEBI), ..more }.holds());
        assert!(!Memory { buffers: Some(257 * MEBI), ..well }.holds());
    }
}
