//! Reading what Linux writes under `/proc`.

/// Processor time since the system started, in the system's ticks, over all processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CpuTimes {
    idle: u64,
    all: u64,
}

impl CpuTimes {
    /// From `/proc/stat`; `None` if that is not understood.
    pub(super) fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is in these already.
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|number| number.parse().ok()).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { idle, all: ticks.iter().sum() })
    }

    /// The share of the time since then that processors were busy, percent; `None` if no time has passed.
    pub(super) fn busy_percent_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        // The kernel lets this one go back a little.
        let idle = self.idle.saturating_sub(before.idle).min(all);
        Some((all - idle) as f64 * 100.0 / all as f64)
    }
}

/// Memory, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    total: u64,
    available: u64,
    own: u64,
}

impl Memory {
    /// From `/proc/meminfo` and `/proc/self/status`; `None` if one is not understood.
    pub(super) fn parse(meminfo: &str, status: &str) -> Option<Self> {
        let total = kib(meminfo, "MemTotal:").filter(|total| *total > 0)?;
        Some(Self { total, available: kib(meminfo, "MemAvailable:")?, own: kib(status, "VmRSS:")? })
    }

    /// What is used of the machine's memory, percent. Caches that can be freed are not.
    pub(super) fn used_percent(self) -> f64 {
        self.total.saturating_sub(self.available) as f64 * 100.0 / self.total as f64
    }

    /// The machine's memory, bytes.
    pub(super) fn total_bytes(self) -> u64 {
        self.total * 1024
    }

    /// What is used of it, bytes.
    pub(super) fn used_bytes(self) -> u64 {
        self.total.saturating_sub(self.available) * 1024
    }

    /// What this process uses of it, percent.
    pub(super) fn own_percent(self) -> f64 {
        self.own as f64 * 100.0 / self.total as f64
    }
}

/// The number on the line that begins with this name.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_the_difference_of_two_looks() {
        let times = |line: &str| CpuTimes::parse(&format!("{line}\ncpu0 9 9 9 9 9 9 9 9 0 0\n"));
        let before = times("cpu  100 0 100 700 100 0 0 0 50 0").expect("understood");
        let after = times("cpu  130 0 110 740 120 0 0 0 60 0").expect("understood");
        assert_eq!(before, CpuTimes { idle: 800, all: 1000 });
        assert_eq!(after.busy_percent_since(before), Some(40.0));
        assert_eq!(before.busy_percent_since(before), None);
        assert_eq!((times("cpu  1 2"), times("intr 1")), (None, None));
    }

    #[test]
    fn memory_is_told_in_percent_of_the_machine_s() {
        let meminfo = "MemTotal:        8000 kB\nMemFree:  1 kB\nMemAvailable:    2000 kB\n";
        let memory = Memory::parse(meminfo, "Name:\tringmq\nVmRSS:\t    400 kB\n").expect("understood");
        assert_eq!((memory.used_percent(), memory.own_percent()), (75.0, 5.0));
        assert_eq!((memory.total_bytes(), memory.used_bytes()), (8_192_000, 6_144_000));
        assert_eq!(Memory::parse("", ""), None);
        assert_eq!(Memory::parse("MemTotal: 0 kB\nMemAvailable: 0 kB", "VmRSS: 1 kB"), None);
    }
}
