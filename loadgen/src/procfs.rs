//! What the kernel tells about processes and about itself, from `/proc` and `/sys`.
//!
//! CPU time is the sum over a process's threads of the scheduler's run time (`/proc/PID/task/TID/schedstat`,
//! nanoseconds), because `/proc/PID/stat` counts in hundredths of a second; the latter gives the split into user and
//! system time. Threads that end between two samples take their schedstat with them; both figures are kept so that the
//! larger one can be used. Absent: CPU time the kernel spends on a process's behalf in interrupts.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;

/// Nanoseconds of one unit of `/proc/PID/stat` times: USER_HZ is 100 on every Linux this runs on.
const TICK_NS: u64 = 10_000_000;

/// One process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSample {
    /// Run time of all live threads, nanoseconds.
    pub run_ns: u64,
    /// Time live threads wanted to run but had to wait for a processor, nanoseconds.
    pub wait_ns: u64,
    /// User time, nanoseconds, in steps of ten milliseconds.
    pub user_ns: u64,
    /// System time, nanoseconds, in steps of ten milliseconds.
    pub system_ns: u64,
}

impl ProcessSample {
    /// Samples the CPU time of a process.
    ///
    /// # Errors
    /// If there is no such process or it may not be looked at.
    pub fn take(pid: u32) -> io::Result<Self> {
        let (user, system) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not understood")))?;
        let (mut run_ns, mut wait_ns) = (0, 0);
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let (run, wait) = parse_schedstat(&text).unwrap_or_default();
            run_ns += run;
            wait_ns += wait;
        }
        Ok(Self { run_ns, wait_ns, user_ns: user * TICK_NS, system_ns: system * TICK_NS })
    }

    /// What happened since an earlier sample.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let user_ns = self.user_ns.saturating_sub(earlier.user_ns);
        let system_ns = self.system_ns.saturating_sub(earlier.system_ns);
        let run_ns = self.run_ns.saturating_sub(earlier.run_ns);
        // Ticks win only by more than their own coarseness: then threads have ended and run time is short of them.
        let ticks = user_ns + system_ns;
        let run_ns = if ticks > run_ns + 2 * TICK_NS { ticks } else { run_ns };
        Self { run_ns, wait_ns: self.wait_ns.saturating_sub(earlier.wait_ns), user_ns, system_ns }
    }

    /// Adds another process.
    pub fn add(&mut self, other: &Self) {
        self.run_ns += other.run_ns;
        self.wait_ns += other.wait_ns;
        self.user_ns += other.user_ns;
        self.system_ns += other.system_ns;
    }
}

/// User and system ticks from `/proc/PID/stat`. The command name may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    // After the name: state is field 3 of the line, utime field 14, stime field 15 (proc_pid_stat(5)).
    Some((fields.nth(11)?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Run time and time spent waiting for a processor, nanoseconds.
fn parse_schedstat(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident pages, bytes.
    pub rss_bytes: u64,
    /// Resident pages, those shared with other processes counted in part, bytes.
    pub pss_bytes: u64,
}

impl Memory {
    /// Samples the memory of a process.
    ///
    /// # Errors
    /// If there is no such process or it may not be looked at.
    pub fn take(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        Ok(Self { rss_bytes: kibibytes(&text, "Rss:") * 1024, pss_bytes: kibibytes(&text, "Pss:") * 1024 })
    }
}

/// Resident memory of a process, bytes: cheap for the process, unlike [`Memory::take`], which walks its page tables.
///
/// # Errors
/// If there is no such process or it may not be looked at.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    Ok(kibibytes(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:") * 1024)
}

fn kibibytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_ascii_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// TCP segments sent in this network namespace since it was made; `None` if unknown.
#[must_use]
pub fn tcp_segments_sent() -> Option<u64> {
    parse_snmp(&fs::read_to_string("/proc/net/snmp").ok()?)
}

fn parse_snmp(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "OutSegs")?;
    values.split(' ').nth(at)?.parse().ok()
}

/// The kernel's release; empty if unknown.
#[must_use]
pub fn kernel_release() -> String {
    trimmed("/proc/sys/kernel/osrelease")
}

/// The host's name; empty if unknown.
#[must_use]
pub fn host_name() -> String {
    trimmed("/proc/sys/kernel/hostname")
}

/// Equal for processes that see the same monotonic clock: those of one boot of one system and one time namespace.
#[must_use]
pub fn clock_identity() -> String {
    let boot = trimmed("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    format!("{boot} {}", namespace.display())
}

/// TCP congestion control of new connections; empty if unknown.
#[must_use]
pub fn congestion_control() -> String {
    trimmed("/proc/sys/net/ipv4/tcp_congestion_control")
}

/// Lowest and highest port the kernel picks for outgoing connections.
#[must_use]
pub fn ephemeral_ports() -> Option<(u16, u16)> {
    let text = trimmed("/proc/sys/net/ipv4/ip_local_port_range");
    let mut ports = text.split_ascii_whitespace().map(|port| port.parse().ok());
    Some((ports.next()??, ports.next()??))
}

/// Processors of the host that are on, whichever of them this process may use; 0 if unknown.
#[must_use]
pub fn cpus() -> usize {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count()
}

/// Name of the first processor; empty if unknown.
#[must_use]
pub fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or_else(String::new, |(_, name)| name.trim().to_owned())
}

/// How many files this process may have open; `None` if unknown or unlimited.
#[must_use]
pub fn open_files_limit() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn trimmed(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_process_is_called() {
        let line = "42 (a ) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 1234 567 8 9 20 0 1 0 100 0 0";
        assert_eq!(parse_stat(line), Some((1234, 567)));
        assert_eq!(parse_stat("42 (short) S 1"), None);
    }

    #[test]
    fn segments_are_found_by_name() {
        let text = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn InSegs OutSegs\nTcp: 1 -1 10 20\nUdp: InErrors\n";
        assert_eq!(parse_snmp(text), Some(20));
    }

    #[test]
    fn ended_threads_do_not_hide_time() {
        let sample = |run_ns, user_ns| ProcessSample { run_ns, user_ns, ..ProcessSample::default() };
        assert_eq!(sample(95, 0).since(&sample(5, 0)).run_ns, 90);
        let (before, after) = (sample(5_000_000_000, 3_000_000_000), sample(1_000_000_000, 4_000_000_000));
        assert_eq!(after.since(&before).run_ns, 1_000_000_000);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let pid = std::process::id();
        let before = ProcessSample::take(pid).unwrap();
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 60 {
            std::hint::black_box(kernel_release());
        }
        let all = ProcessSample::take(pid).unwrap().since(&before).run_ns;
        assert!((10_000_000..2_000_000_000).contains(&all), "60 ms of work were measured as {all} ns");
        assert!(Memory::take(pid).unwrap().pss_bytes > 100_000);
        assert!(tcp_segments_sent().is_some() && !kernel_release().is_empty());
        assert!(ProcessSample::take(u32::MAX).is_err());
    }
}
