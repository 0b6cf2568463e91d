//! What the operating system says of this machine and this process (EMQX's `sysmon.os`), measured now and then, and what
//! of it is used when somebody asks. Which warnings about the run time are told (`sysmon.vm`) is among the options.
//!
//! Absent: limits of control groups: in a container the figures are the host's.

mod proc;
mod usage;

pub(crate) use usage::{Meter, Usage};

use crate::sysmon::proc::{CpuTimes, Memory};
use std::fs;
use std::time::{Duration, Instant};

/// When to look, and what is too much. Watermarks are percentages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SysmonOptions {
    /// `sysmon.os.cpu_check_interval`.
    pub(crate) cpu_check_interval: Duration,
    /// `sysmon.os.cpu_high_watermark`.
    pub(crate) cpu_high_watermark: u8,
    /// `sysmon.os.cpu_low_watermark`.
    pub(crate) cpu_low_watermark: u8,
    /// `sysmon.os.mem_check_interval`; `None` is never.
    pub(crate) mem_check_interval: Option<Duration>,
    /// `sysmon.os.sysmem_high_watermark`.
    pub(crate) sysmem_high_watermark: u8,
    /// `sysmon.os.procmem_high_watermark`.
    pub(crate) procmem_high_watermark: u8,
    /// `sysmon.vm.busy_port`: whether connections that do not take what they are sent are told of.
    pub(crate) busy_port: bool,
    /// `sysmon.vm.busy_dist_port`: whether shards that others have too much for are told of.
    pub(crate) busy_dist_port: bool,
}

impl Default for SysmonOptions {
    fn default() -> Self {
        Self {
            cpu_check_interval: Duration::from_secs(60),
            cpu_high_watermark: 80,
            cpu_low_watermark: 60,
            mem_check_interval: Some(Duration::from_secs(60)),
            sysmem_high_watermark: 70,
            procmem_high_watermark: 5,
            busy_port: true,
            busy_dist_port: true,
        }
    }
}

/// Something that was measured, and what follows for its alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    /// The alarm.
    pub(crate) alarm: &'static str,
    /// What is used, in words.
    pub(crate) of: &'static str,
    /// Percent.
    pub(crate) usage: f64,
    /// What is too much, percent.
    pub(crate) high_watermark: u8,
    /// Below which it is over, percent.
    pub(crate) low_watermark: u8,
}

/// What an alarm should become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    TooMuch,
    Between,
    Fine,
}

impl Reading {
    /// What follows from it.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.usage > f64::from(self.high_watermark) {
            Verdict::TooMuch
        } else if self.usage <= f64::from(self.low_watermark) {
            Verdict::Fine
        } else {
            Verdict::Between
        }
    }
}

/// Measures when it is time to.
#[derive(Debug)]
pub(crate) struct Sysmon {
    options: SysmonOptions,
    cpu_due: Instant,
    /// `None` is never.
    memory_due: Option<Instant>,
    /// The processors' times when they were last looked at.
    cpu: Option<CpuTimes>,
}

impl Sysmon {
    /// Looks for the first time when an interval has passed.
    pub(crate) fn new(options: SysmonOptions, now: Instant) -> Self {
        let cpu_due = now + options.cpu_check_interval;
        let memory_due = options.mem_check_interval.map(|interval| now + interval);
        Self { options, cpu_due, memory_due, cpu: CpuTimes::parse(&read("/proc/stat")) }
    }

    /// Goes by other options from now on. What is due sooner by them is.
    pub(crate) fn set(&mut self, options: SysmonOptions, now: Instant) {
        if options != self.options {
            self.cpu_due = self.cpu_due.min(now + options.cpu_check_interval);
            let due = options.mem_check_interval.map(|interval| now + interval);
            self.memory_due = self.memory_due.map_or(due, |before| due.map(|due| due.min(before)));
            self.options = options;
        }
    }

    /// What is to be measured now. What the system does not tell is left out.
    pub(crate) fn measure(&mut self, now: Instant) -> Vec<Reading> {
        let mut readings = Vec::new();
        if now >= self.cpu_due {
            self.cpu_due = now + self.options.cpu_check_interval;
            readings.extend(self.cpu());
        }
        if self.memory_due.is_some_and(|due| now >= due) {
            self.memory_due = self.options.mem_check_interval.map(|interval| now + interval);
            readings.extend(self.memory().into_iter().flatten());
        }
        readings
    }

    /// The processors' use since the last time.
    fn cpu(&mut self) -> Option<Reading> {
        let times = CpuTimes::parse(&read("/proc/stat"))?;
        let before = self.cpu.replace(times)?;
        Some(Reading {
            alarm: "high_cpu_usage",
            of: "cpu",
            usage: times.busy_percent_since(before)?,
            high_watermark: self.options.cpu_high_watermark,
            low_watermark: self.options.cpu_low_watermark,
        })
    }

    fn memory(&self) -> Option<[Reading; 2]> {
        let memory = Memory::parse(&read("/proc/meminfo"), &read("/proc/self/status"))?;
        let reading = |alarm, of, usage, watermark| Reading {
            alarm,
            of,
            usage,
            high_watermark: watermark,
            low_watermark: watermark,
        };
        let SysmonOptions { sysmem_high_watermark, procmem_high_watermark, .. } = self.options;
        Some([
            reading("high_system_memory_usage", "system memory", memory.used_percent(), sysmem_high_watermark),
            reading("high_process_memory_usage", "process memory", memory.own_percent(), procmem_high_watermark),
        ])
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_watermarks_nothing_follows() {
        let verdict = |usage, high_watermark, low_watermark| {
            Reading { alarm: "", of: "", usage, high_watermark, low_watermark }.verdict()
        };
        assert_eq!(verdict(80.1, 80, 60), Verdict::TooMuch);
        assert_eq!(verdict(80.0, 80, 60), Verdict::Between);
        assert_eq!(verdict(60.1, 80, 60), Verdict::Between);
        assert_eq!(verdict(60.0, 80, 60), Verdict::Fine);
        assert_eq!([verdict(70.0, 70, 70), verdict(70.5, 70, 70)], [Verdict::Fine, Verdict::TooMuch]);
    }

    #[test]
    fn this_machine_is_measured_when_it_is_time_to() {
        let start = Instant::now();
        let options = SysmonOptions { cpu_check_interval: Duration::from_secs(7), ..SysmonOptions::default() };
        let mut sysmon = Sysmon::new(options, start);
        assert!(sysmon.measure(start + Duration::from_secs(6)).is_empty());
        // No processor time may have passed, and then there is nothing to tell of it.
        let cpu = sysmon.measure(start + Duration::from_secs(7));
        assert!(cpu.iter().all(|reading| reading.alarm == "high_cpu_usage" && (0.0..=100.0).contains(&reading.usage)));
        sysmon.set(SysmonOptions { mem_check_interval: Some(Duration::from_secs(9)), ..options }, start);
        assert!(sysmon.measure(start + Duration::from_secs(8)).is_empty());
        let memory: Vec<Reading> = sysmon.measure(start + Duration::from_secs(9));
        for alarm in ["high_system_memory_usage", "high_process_memory_usage"] {
            let reading = memory.iter().find(|reading| reading.alarm == alarm).expect(alarm);
            assert!(reading.usage > 0.0 && reading.usage < 100.0, "{reading:?}");
        }
        let never = SysmonOptions { mem_check_interval: None, ..options };
        let readings = Sysmon::new(never, start).measure(start + Duration::from_secs(1_000_000));
        assert!(readings.iter().all(|reading| reading.alarm == "high_cpu_usage"));
    }
}
