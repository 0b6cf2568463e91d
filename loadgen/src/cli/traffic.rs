//! Options of scenarios with messages: what is sent, and how fast.

use super::payload::PayloadArgs;
use super::values::duration;
use crate::schedule::RATE_MAX;
use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use std::time::Duration;

/// Options of scenarios with messages.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traffic")]
pub struct TrafficArgs {
    /// QoS of the messages
    #[arg(long, value_name = "0|1|2", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// QoS of the subscriptions, if not that of the messages
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub sub_qos: Option<u8>,
    /// What is in a message.
    #[command(flatten)]
    pub payload: PayloadArgs,
    /// Open loop: messages a second over all publishers
    #[arg(long, value_name = "MSGS", conflicts_with = "window",
          value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    pub rate: Option<u64>,
    /// Open loop: from one message of a publisher to its next; the rate over all is rounded to whole messages a second
    #[arg(long, value_name = "TIME", conflicts_with_all = ["rate", "window"], value_parser = duration)]
    pub interval: Option<Duration>,
    /// Closed loop: messages in flight per publisher [default: 16]
    #[arg(long, value_name = "MSGS", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub window: Option<u32>,
    /// What ends a message's time in the window
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Credit::Both)]
    pub credit: Credit,
    /// How long to measure: 10s, 500ms, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// How long to send before measuring; with --limit not at all, if not given
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration,
          default_value_if("limit", ArgPredicate::IsPresent, "0s"))]
    pub warmup: Duration,
    /// After the last message, how long without any delivery until the rest counts as lost
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub drain: Duration,
    /// Set RETAIN in the messages
    #[arg(long)]
    pub retain: bool,
    /// When to begin, and how many messages to end after.
    #[command(flatten)]
    pub span: SpanArgs,
}

/// When to begin, and how many messages to end after.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traffic")]
pub struct SpanArgs {
    /// Messages per publisher, those of --warmup included; the measurement ends with the last or with --duration
    #[arg(long, value_name = "MSGS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// How long to wait between the last SUBACK and the first message [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub wait_before_publishing: Option<Duration>,
}

/// What ends a message's time in the window of a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Credit {
    /// Its acknowledgement to the publisher; at QoS 0 the same as `delivery`
    Ack,
    /// Its arrival at the subscribers
    Delivery,
    /// Whichever of the two is later
    Both,
}
