//! The workers in a line for people: how many, where, on which cores, and who had most to do.
//!
//! Absent: figures that are not in the result.

use super::WorkerResult;

/// Workers named one by one; of more only the number is given.
const NAMED_MAX: usize = 8;

impl WorkerResult {
    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        self.agent.as_ref().map_or_else(|| format!("process {}", self.pid), |address| format!("agent {address}"))
    }

    /// Share of time in which it could not have done more: busy, or waiting for a processor.
    fn load(&self) -> f64 {
        self.busy_share + self.wait_share
    }

    fn cores(&self) -> String {
        let cores: Vec<String> = self.cores.iter().flatten().map(usize::to_string).collect();
        if cores.is_empty() { "any".into() } else { cores.join(",") }
    }
}

/// The line.
pub(crate) fn summary(workers: &[WorkerResult]) -> String {
    let (agents, own): (Vec<&WorkerResult>, Vec<&WorkerResult>) =
        workers.iter().partition(|worker| worker.agent.is_some());
    let mut parts = Vec::new();
    if let Some(first) = own.first() {
        let word = if own.len() == 1 { "process" } else { "processes" };
        let cores: Vec<String> = own.iter().take(NAMED_MAX).map(|worker| worker.cores()).collect();
        let more = if own.len() > NAMED_MAX { ";..." } else { "" };
        parts.push(format!("{} {word} on {} (cores {}{more})", own.len(), first.host, cores.join(";")));
    }
    for agent in agents.iter().take(NAMED_MAX) {
        let mut text = format!("{} on {} (cores {})", agent.name(), agent.host, agent.cores());
        if agent.clock_uncertainty_us > 0.0 {
            text.push_str(&format!(", its clock known within {:.1} us", agent.clock_uncertainty_us));
        }
        parts.push(text);
    }
    if agents.len() > NAMED_MAX {
        parts.push(format!("{} more agents", agents.len() - NAMED_MAX));
    }
    let mut text = parts.join("; ");
    if let Some(most) = workers.iter().max_by(|one, other| one.load().total_cmp(&other.load())) {
        let (busy, waited) = (most.busy_share * 100.0, most.wait_share * 100.0);
        text.push_str(&format!("; most loaded: {}, busy {busy:.1} %, waited for a core {waited:.1} %", most.name()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pid: u32, agent: Option<&str>, busy_share: f64) -> WorkerResult {
        WorkerResult {
            host: "here".into(),
            pid,
            agent: agent.map(str::to_owned),
            clients: 1,
            cores: vec![Some(pid as usize)],
            connected: 1,
            sent: 0,
            delivered: 0,
            busy_share,
            wait_share: 0.0,
            lag_p99_us: None,
            clock_offset_us: 0.0,
            clock_uncertainty_us: if agent.is_some() { 12.34 } else { 0.0 },
        }
    }

    #[test]
    fn the_line_says_who_where_and_who_was_the_bottleneck() {
        let mut far = worker(3, Some("far:1"), 0.971);
        far.cores = vec![None];
        let text = summary(&[worker(1, None, 0.2), worker(2, None, 0.3), far]);
        let expected = "2 processes on here (cores 1;2); agent far:1 on here (cores any), its clock known within 12.3 us; \
                        most loaded: agent far:1, busy 97.1 %, waited for a core 0.0 %";
        assert_eq!(text, expected);
        let many: Vec<WorkerResult> = (0..100).map(|pid| worker(pid, None, f64::from(pid))).collect();
        let text = summary(&many);
        assert!(text.starts_with("100 processes") && text.contains("7;...)") && text.contains("process 99"), "{text}");
    }
}
