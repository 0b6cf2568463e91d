//! Options about what is in a message. Absent: what the parts mean together, see [`payload`](crate::payload).

use crate::payload::{Headers, Sizes};
use clap::Args;
use std::path::PathBuf;

/// What is in a message.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Traffic")]
pub struct PayloadArgs {
    /// Payload of a message, bytes, headers included: 64, or 16..1024 (evenly spread), or 16:90,1024:9,65536:1 (sizes
    /// and weights) [default: 64]
    #[arg(long, value_name = "BYTES", value_parser = sizes, conflicts_with = "payload_file")]
    pub size: Option<Sizes>,
    /// Send the bytes of this file, after the headers if there are any
    #[arg(long, value_name = "FILE", conflicts_with = "payload_template")]
    pub payload_file: Option<PathBuf>,
    /// Send this text: %i is the client's number, %c the client identifier, %u the user name, %s the message's number,
    /// %% a percent sign, and %TIMESTAMPMS%, %TIMESTAMPUS%, %TIMESTAMPNS%, %UNIQUE%, %RANDOM% (--size characters)
    #[arg(long, value_name = "TEMPLATE")]
    pub payload_template: Option<String>,
    /// Headers ahead of the payload, in this order: stamp (the generator's own, for all checks), cnt64 (a counter), ts
    /// (milliseconds since 1970); or none [default: stamp; none with --payload-file and --payload-template]
    #[arg(long, value_name = "LIST", value_parser = headers)]
    pub payload_hdrs: Option<Headers>,
}

pub(crate) fn sizes(text: &str) -> Result<Sizes, String> {
    text.parse()
}

pub(crate) fn headers(text: &str) -> Result<Headers, String> {
    text.parse()
}
