//! Options on their way to a worker.
//!
//! A worker gets the scenario and its options as a command line, so that an option is understood in one place only.
//! What concerns the coordinator alone stays there. An agent takes only options known to be harmless: none that read or
//! write files. Absent: what the options mean.

use super::protocol::Order;
use crate::cli::{Cli, ScenarioArgs};
use crate::plan::Plan;
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};
use ringmq_core::machine::SHARDS_MAX;
use std::ffi::OsString;
use std::net::{SocketAddr, UdpSocket};

/// Options that the coordinator follows itself.
#[rustfmt::skip]
const COORDINATORS: [&str; 12] = [
    "processes", "agents", "cores", "threads", "json", "hgrm", "qoe_log", "quiet", "pid", "ui", "report_every",
    "prometheus",
];

/// Options that an agent takes. Whatever is added to the command line has to be added here if it neither reads nor
/// writes files, so that nothing harmful is let in by being forgotten.
#[rustfmt::skip]
const HARMLESS: &[&str] = &[
    "clients", "subscribe", "pairs", "publishers", "subscribers", "share", "all", "topics", "scenario", "scale",
    "qos", "sub_qos", "size", "rate", "window", "credit", "duration", "warmup", "drain", "retain",
    "host", "port", "target", "mqtt", "keepalive", "clean", "expiry", "receive_maximum", "username", "password",
    "client_id_prefix", "topic_prefix", "connect_rate", "connect_window", "connect_timeout", "ifaddr", "driver",
    "no_spin", "direct", "timestamps", "topic", "start_number", "short_ids", "will_topic", "will_payload", "will_qos", "will_retain",
    "limit", "interval", "wait_before_publishing", "payload_template", "payload_hdrs",
    "ramp_up",
];

/// The options that were given, with the subcommand's definition.
fn given(words: impl IntoIterator<Item = OsString>) -> Result<(Command, ArgMatches), clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(words)?;
    let (name, given) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
    let subcommand =
        command.find_subcommand(name).ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))?.clone();
    Ok((subcommand, given.clone()))
}

/// A command line's scenario and options without those of the coordinator; client identifiers, unless chosen, are those
/// of `client_prefix`.
///
/// # Errors
/// A text for the user.
pub(super) fn arguments(words: impl IntoIterator<Item = OsString>, client_prefix: &str) -> Result<Vec<String>, String> {
    let (command, given) = given(words).map_err(|problem| problem.to_string())?;
    let mut arguments = vec![command.get_name().to_owned()];
    for option in command.get_arguments() {
        let id = option.get_id().as_str();
        if COORDINATORS.contains(&id) || !is_given(&given, id) {
            continue;
        }
        let text = |value: &std::ffi::OsStr| {
            value.to_str().map(str::to_owned).ok_or_else(|| format!("the value of {option} is not UTF-8"))
        };
        let values = given.get_raw(id).unwrap_or_default();
        match option.get_long() {
            Some(long) if !option.get_action().takes_values() => arguments.push(format!("--{long}")),
            Some(long) => {
                for value in values {
                    arguments.push(format!("--{long}={}", text(value)?));
                }
            }
            None => {
                for value in values {
                    arguments.push(text(value)?);
                }
            }
        }
    }
    if !is_given(&given, "client_id_prefix") {
        arguments.push(format!("--client-id-prefix={client_prefix}"));
    }
    Ok(arguments)
}

/// Whether an option was on the command line.
fn is_given(given: &ArgMatches, id: &str) -> bool {
    given.try_contains_id(id).unwrap_or(false) && given.value_source(id) == Some(ValueSource::CommandLine)
}

/// Makes a plan of an order. `trusted` coordinators are the process that started this one.
///
/// # Errors
/// Why it cannot or must not be followed.
pub(super) fn plan(order: &Order, trusted: bool) -> Result<Plan, String> {
    if !order.share.is_sound() || order.cores.len() != order.share.threads || order.cores.len() > SHARDS_MAX {
        return Err("the order's threads and cores do not belong together".into());
    }
    let words = std::iter::once("ringmq-loadgen").chain(order.arguments.iter().map(String::as_str));
    let words: Vec<OsString> = words.map(OsString::from).collect();
    let not_understood = |problem: clap::Error| format!("the coordinator's options are not understood: {problem}");
    let (command, given) = given(words.clone()).map_err(not_understood)?;
    if !trusted {
        let refused = |id: &str| is_given(&given, id) && !HARMLESS.contains(&id);
        if let Some(option) = command.get_arguments().find(|option| refused(option.get_id().as_str())) {
            return Err(format!("an agent does not take {option} from a coordinator: it may concern local files"));
        }
    }
    let matches = Cli::command().try_get_matches_from(words).map_err(not_understood)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(not_understood)?;
    if let ScenarioArgs::Run(run) = &mut cli.scenario {
        // A name alone would have to be looked up among files.
        let (name, text) = order.definition.clone().ok_or("a scenario file must come with the order")?;
        (run.scenario, run.text) = (name, Some(text));
    }
    let mut plan = Plan::new(&cli)?;
    plan.run = order.run;
    plan.generator.cores.clone_from(&order.cores);
    plan.generator.experiences = order.experiences;
    let named = plan.connecting.sources.len();
    plan.connecting.sources.retain(|address| UdpSocket::bind(SocketAddr::new(*address, 0)).is_ok());
    if named > 0 && plan.connecting.sources.is_empty() {
        return Err("none of the addresses of --ifaddr is one of this host".into());
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::super::share::Share;
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("ringmq-loadgen").chain(line.split_whitespace()).map(OsString::from).collect()
    }

    fn order(line: &str) -> Order {
        Order {
            run: 7,
            arguments: line.split_whitespace().map(str::to_owned).collect(),
            definition: None,
            share: Share { first: 1, threads: 1, total: 2 },
            cores: vec![None],
            clock_zero_ns: 0,
            watched: false,
            experiences: false,
        }
    }

    #[test]
    fn a_worker_gets_what_concerns_it_and_nothing_else() {
        let line = "fanin --all --publishers 7 --rate 100 --processes 2 --agents a:1,b:2 --cores 0,1 --json x.jsonl --hgrm y \
                    --prometheus 0 --quiet --pid 1 --ifaddr 127.0.0.2,127.0.0.3 --no-spin --mqtt 5";
        let found = arguments(words(line), "lg1").unwrap();
        let mut sorted = found[1..].to_vec();
        sorted.sort_unstable();
        assert_eq!(found[0], "fanin");
        let expected = [
            "--all",
            "--client-id-prefix=lg1",
            "--ifaddr=127.0.0.2",
            "--ifaddr=127.0.0.3",
            "--mqtt=5",
            "--no-spin",
            "--publishers=7",
            "--rate=100",
        ];
        assert_eq!(sorted, expected);
        let plan = plan(&Order { arguments: found, ..order("") }, false).unwrap();
        assert_eq!((plan.run, plan.clients(), plan.connecting.sources.len(), plan.generator.spin), (7, 12, 2, false));
        assert_eq!((plan.identity.naming.prefix.as_str(), plan.rate()), ("lg1", Some(100)));
        assert!(arguments(words("p2p --client-id-prefix x"), "lg1").unwrap().contains(&"--client-id-prefix=x".into()));
    }

    #[test]
    fn an_agent_touches_no_files_for_a_coordinator() {
        for line in [
            "p2p --json x",
            "p2p --hgrm x",
            "p2p --pid 1",
            "p2p --processes 4",
            "p2p --agents x:1",
            "p2p --payload-file x",
            "p2p --qoe-log x",
        ] {
            assert!(plan(&order(line), false).unwrap_err().contains("does not take"), "{line}");
        }
        for line in ["run /etc/passwd", "run p2p-1K-1K-1K-1K"] {
            assert!(plan(&order(line), true).unwrap_err().contains("must come with the order"), "{line}");
        }
        for line in ["list", "describe bursts", "agent", "p2p --nonsense", ""] {
            assert!(plan(&order(line), false).is_err(), "{line}");
        }
        let (name, text) = crate::definition::presets::find("p2p-1K-1K-1K-1K").unwrap();
        let file = Order { definition: Some((name, text)), ..order("run /etc/passwd --scale 0.1") };
        let plan = plan(&file, false).unwrap();
        assert_eq!((plan.scenario.name(), plan.clients()), ("p2p-1K-1K-1K-1K", 200));
    }

    #[test]
    fn an_order_that_does_not_fit_is_refused() {
        let bad = Share { first: 2, threads: 1, total: 2 };
        assert!(plan(&Order { share: bad, ..order("p2p") }, true).is_err());
        assert!(plan(&Order { cores: vec![None, None], ..order("p2p") }, true).is_err());
        let afar = plan(&order("p2p --ifaddr 192.0.2.1"), true);
        assert!(afar.unwrap_err().contains("--ifaddr"));
    }
}
