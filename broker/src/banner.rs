//! What the operator sees: one banner at the start, on standard output; warnings and errors on standard error.
//!
//! A closed output is no reason to stop a broker, so failures to write are ignored.

use crate::config::Problem;
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What is told once everything is set up.
pub(crate) struct Banner {
    /// The shards and their cores.
    pub(crate) shards: String,
    /// The driver and its features.
    pub(crate) driver: String,
    /// Most open files; `None` is unlimited.
    pub(crate) files: Option<u64>,
    /// The data directory, in full.
    pub(crate) data_dir: PathBuf,
    /// Where the monitoring port is, if there is one.
    pub(crate) monitoring_at: Option<SocketAddr>,
    /// The addresses listened on.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Banner {
    /// Prints it.
    pub(crate) fn print(&self) {
        say(&self.to_string());
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.map_or_else(|| "unlimited".to_owned(), |files| files.to_string());
        writeln!(f, "ringmq {}{}", env!("CARGO_PKG_VERSION"), env!("RINGMQ_BUILD"))?;
        writeln!(f, "  shards      {}", self.shards)?;
        writeln!(f, "  driver      {}", self.driver)?;
        writeln!(f, "  open files  {files}")?;
        writeln!(f, "  data        {}", self.data_dir.display())?;
        self.monitoring_at.iter().try_for_each(|address| writeln!(f, "  monitoring  http://{address}/metrics"))?;
        self.addresses.iter().try_for_each(|address| writeln!(f, "listening on tcp {address}"))
    }
}

/// Writes text to standard output.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a warning.
pub(crate) fn warn(warning: &dyn fmt::Display) {
    let _ = writeln!(std::io::stderr(), "warning: {warning}");
}

/// Writes one error.
pub(crate) fn complain(error: &dyn fmt::Display) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// Writes errors.
pub(crate) fn fail(problems: &[Problem]) {
    for problem in problems {
        complain(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_its_line() {
        let banner = Banner {
            shards: "1 on core 0".to_owned(),
            driver: "epoll".to_owned(),
            files: None,
            data_dir: "/var/lib/ringmq".into(),
            monitoring_at: None,
            addresses: vec!["127.0.0.1:1883".parse().expect("IPv4"), "[::]:1883".parse().expect("IPv6")],
        };
        let text = banner.to_string();
        assert!(text.contains("\nlistening on tcp 127.0.0.1:1883\nlistening on tcp [::]:1883\n"), "{text}");
        assert!(text.contains("open files  unlimited"), "{text}");
    }
}
