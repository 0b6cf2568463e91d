//! Options about how clients are numbered and what they leave behind.

use super::values::topic;
use clap::Args;

/// How clients are numbered.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clients")]
pub struct NamingArgs {
    /// Client identifiers are --client-id-prefix, if given, and one number over all clients, and nothing else
    #[arg(long)]
    pub short_ids: bool,
    /// Number of the first client, in identifiers; in `pub` and `sub` also in %i and %t
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub start_number: u32,
}

/// The will of every client. The broker publishes it when a connection ends without DISCONNECT.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clients")]
pub struct WillArgs {
    /// Topic of the will: %i is the client's number, %c the client identifier, %u the user name
    #[arg(long, value_name = "TEMPLATE", value_parser = topic)]
    pub will_topic: Option<String>,
    /// Payload of the will
    #[arg(long, value_name = "TEXT", default_value = "", requires = "will_topic")]
    pub will_payload: String,
    /// QoS of the will
    #[arg(long, value_name = "0|1|2", default_value_t = 0, requires = "will_topic",
          value_parser = clap::value_parser!(u8).range(0..=2))]
    pub will_qos: u8,
    /// Set RETAIN in the will
    #[arg(long, requires = "will_topic")]
    pub will_retain: bool,
}
