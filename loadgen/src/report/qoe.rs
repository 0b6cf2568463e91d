//! The log of the quality that each client experienced: CSV, one line a client.
//!
//! | column | meaning |
//! |---|---|
//! | `client_id` | client identifier |
//! | `tcp_us` | from when the connection was due until TCP was connected, microseconds |
//! | `connack_us` | from CONNECT until CONNACK |
//! | `connect_us` | from when the connection was due until CONNACK |
//! | `subscribe_us` | from SUBSCRIBE until SUBACK |
//! | `sent` | messages sent in all of the run; empty for subscribers |
//! | `received` | messages received in all of the run, known repetitions excepted |
//! | `latency_mean_us`, `latency_max_us` | of the messages that `end_to_end` counts |
//! | `disconnects` | connections that ended before the run did |
//!
//! A time that there is none of is empty. Absent: collecting it, and any decision by it.

use crate::fleet::ClientExperience;
use std::io::{self, BufWriter, Write};

/// The first line.
const COLUMNS: &str = "client_id,tcp_us,connack_us,connect_us,subscribe_us,sent,received,latency_mean_us,\
                       latency_max_us,disconnects";

/// Writes the log.
///
/// # Errors
/// Those of writing.
pub fn write(clients: &[ClientExperience], out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    writeln!(out, "{COLUMNS}")?;
    for ClientExperience { client, sent, experience } in clients {
        field(&mut out, client)?;
        for time in [experience.tcp_ns, experience.connack_ns, experience.connect_ns, experience.subscribe_ns] {
            micros(&mut out, time)?;
        }
        match sent {
            Some(sent) => write!(out, ",{sent}")?,
            None => write!(out, ",")?,
        }
        write!(out, ",{}", experience.received)?;
        let is_measured = experience.measured > 0;
        micros(&mut out, is_measured.then(|| experience.latency_sum_ns / experience.measured))?;
        micros(&mut out, is_measured.then_some(experience.latency_max_ns))?;
        writeln!(out, ",{}", experience.disconnects)?;
    }
    out.flush()
}

/// Microseconds with one decimal, or nothing.
fn micros(out: &mut impl Write, nanos: Option<u64>) -> io::Result<()> {
    match nanos {
        Some(nanos) => write!(out, ",{:.1}", nanos as f64 / 1000.0),
        None => write!(out, ","),
    }
}

/// A text, in quotation marks if it needs them (RFC 4180).
fn field(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.contains([',', '"', '\n', '\r']) {
        return write!(out, "\"{}\"", text.replace('"', "\"\""));
    }
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Experience;

    #[test]
    fn what_is_not_known_is_empty_and_a_name_cannot_break_the_line() {
        let known = Experience {
            tcp_ns: Some(1_500),
            connack_ns: Some(2_000),
            connect_ns: Some(3_540),
            subscribe_ns: Some(0),
            received: 3,
            measured: 2,
            latency_sum_ns: 5_000,
            latency_max_ns: 4_000,
            disconnects: 1,
        };
        let clients = [
            ClientExperience { client: "s1".into(), sent: None, experience: known },
            ClientExperience { client: "a,\"b\"".into(), sent: Some(7), experience: Experience::default() },
        ];
        let mut out = Vec::new();
        write(&clients, &mut out).unwrap();
        let lines: Vec<String> = String::from_utf8(out).unwrap().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(lines, ["s1,1.5,2.0,3.5,0.0,,3,2.5,4.0,1", "\"a,\"\"b\"\"\",,,,,7,0,,,0"]);
        assert_eq!(COLUMNS.split(',').count(), 10);
    }
}
