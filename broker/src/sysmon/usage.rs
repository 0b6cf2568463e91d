//! How much of the machine is used at the moment (EMQX's `emqx_vm_*`), for whoever asks.

use super::proc::{CpuTimes, Memory};
use super::read;
use std::time::{Duration, Instant};

/// Shortest time over which the processors' use is measured; who asks again sooner is told what was measured last.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// What of the machine is used, by all its processes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// The processors' time that was used since somebody last asked, or since the start; percent.
    pub(crate) cpu_percent: f64,
    /// The machine's memory, bytes.
    pub(crate) total_memory: u64,
    /// What is used of it, caches that can be freed not included; bytes.
    pub(crate) used_memory: u64,
}

/// Measures it.
#[derive(Debug)]
pub(crate) struct Meter {
    looked: Instant,
    times: Option<CpuTimes>,
    cpu_percent: f64,
}

impl Meter {
    /// Measures from now on.
    pub(crate) fn new(now: Instant) -> Self {
        Self { looked: now, times: CpuTimes::parse(&read("/proc/stat")), cpu_percent: 0.0 }
    }

    /// What is used; `None` if the system does not tell.
    pub(crate) fn usage(&mut self, now: Instant) -> Option<Usage> {
        if now.saturating_duration_since(self.looked) >= SPAN_MIN {
            let times = CpuTimes::parse(&read("/proc/stat"))?;
            let before = self.times.replace(times)?;
            self.looked = now;
            self.cpu_percent = times.busy_percent_since(before).unwrap_or(self.cpu_percent);
        }
        let memory = Memory::parse(&read("/proc/meminfo"), &read("/proc/self/status"))?;
        let (total_memory, used_memory) = (memory.total_bytes(), memory.used_bytes());
        Some(Usage { cpu_percent: self.cpu_percent, total_memory, used_memory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_s_use_is_told_and_measured_again_after_a_while() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.cpu_percent = 12.5;
        let usage = meter.usage(start + Duration::from_millis(999)).expect("Linux tells");
        assert_eq!((usage.cpu_percent, meter.looked), (12.5, start));
        assert!(usage.used_memory > 0 && usage.used_memory < usage.total_memory, "{usage:?}");
        let usage = meter.usage(start + SPAN_MIN).expect("Linux tells");
        assert!((0.0..=100.0).contains(&usage.cpu_percent), "{usage:?}");
        assert_eq!(meter.looked, start + SPAN_MIN);
    }
}
