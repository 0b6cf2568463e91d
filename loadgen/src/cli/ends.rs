//! Options of `pub` and `sub`, which are one end of a conversation each; the other may be any MQTT client.

use super::payload::headers;
use super::traffic::TrafficArgs;
use super::values::{duration, filter, group, topic};
use super::{CommonArgs, TOPICS_MAX};
use crate::payload::Headers;
use clap::{ArgAction, Args};
use std::time::Duration;

/// Options of `pub`.
#[derive(Debug, Clone, Args)]
pub struct PubArgs {
    /// Publishers
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub publishers: u32,
    /// Topic of each: %i is the client's number, %t that modulo --topics, %c the client identifier, %u the user name
    #[arg(long, value_name = "TEMPLATE", value_parser = topic, conflicts_with = "topic_prefix")]
    pub topic: String,
    /// How many values %t takes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub topics: u32,
    /// Options of scenarios with messages.
    #[command(flatten)]
    pub traffic: TrafficArgs,
    /// Options that all scenarios have.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Options of `sub`.
#[derive(Debug, Clone, Args)]
pub struct SubArgs {
    /// Subscribers
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub subscribers: u32,
    /// Filter of each, with wildcards and %i %t %c %u as in `pub`; repeat for several, up to 64
    #[arg(long, value_name = "TEMPLATE", value_parser = filter, action = ArgAction::Append, required = true,
          conflicts_with = "topic_prefix")]
    pub topic: Vec<String>,
    /// How many values %t takes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub topics: u32,
    /// Make the subscribers members of this shared subscription ($share/GROUP/...)
    #[arg(long, value_name = "GROUP", value_parser = group)]
    pub share: Option<String>,
    /// QoS of the subscriptions
    #[arg(long, value_name = "0|1|2", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Headers that the messages begin with: stamp, cnt64, ts, as in `pub`; from ts follows the latency, from cnt64 loss,
    /// duplicates and order of each topic. Without, the stamps of other runs of this generator are looked for
    #[arg(long, value_name = "LIST", value_parser = headers)]
    pub payload_hdrs: Option<Headers>,
    /// How long to count once all have subscribed: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// Options that all scenarios have.
    #[command(flatten)]
    pub common: CommonArgs,
}

impl SubArgs {
    /// Most filters: they go into one SUBSCRIBE.
    pub(crate) const FILTERS_MAX: usize = TOPICS_MAX as usize;
}
