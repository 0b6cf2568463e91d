//! From a scenario file to a plan: counts are scaled, and options of the command line win over the file.
//!
//! Absent: reading the file, see [`definition`](crate::definition).

use super::payload::payload;
use super::resolve::{WINDOW_DEFAULT, identity, pace_of_window, qos, run_number};
use super::{Draft, Pace, Traffic};
use crate::cli::{CommonArgs, Credit, PayloadArgs, RunArgs, WillArgs};
use crate::definition::{Definition, Messages, Will, presets};
use crate::scenario::Groups;
use crate::schedule::RATE_MAX;
use ringmq_wire::{QoS, Version};
use std::path::Path;
use std::time::Duration;

/// How long to send before measuring, if neither a key nor an option says.
const WARMUP_DEFAULT: Duration = Duration::from_secs(2);

/// Drafts a run of a preset or a file.
pub(super) fn draft(args: &RunArgs) -> Result<Draft, String> {
    let (name, definition) = match &args.text {
        Some(text) => (args.scenario.clone(), Definition::read(&args.scenario, text)?),
        None => presets::load(&args.scenario)?,
    };
    let given = &args.common;
    let common = CommonArgs {
        mqtt: given.mqtt.or(definition.mqtt.map(Version::level)),
        keepalive: given.keepalive.or(definition.keep_alive_s),
        clean: given.clean.or(definition.clean_start),
        expiry: given.expiry.or(definition.session_expiry_s),
        receive_maximum: given.receive_maximum.or(definition.receive_maximum),
        connect_rate: given.connect_rate.or(definition.connect_rate),
        ramp_up: given.ramp_up.or(definition.ramp_up),
        qoe_log: given.qoe_log.clone().or(definition.qoe_log.clone()),
        will: will(&given.will, definition.will.as_ref()),
        ..given.clone()
    };
    let publisher_groups = definition.publisher_groups(args.scale);
    let subscriber_groups = definition.subscriber_groups(args.scale);
    let counts = publisher_groups.iter().map(|group| group.count).chain(subscriber_groups.iter().map(|g| g.count));
    let clients = counts.map(u64::from).sum::<u64>();
    let clients = u32::try_from(clients).map_err(|_| "more than 2^32 clients")?;
    let publishers: u32 = publisher_groups.iter().map(|group| group.count).sum();

    let retained = definition.retained(args.scale);

    let run = run_number();
    let identity = identity(&common, run, publishers, clients)?;
    let share = definition.subscribing().and_then(|group| group.share.clone());
    let groups = Groups::new(name, &publisher_groups, &subscriber_groups, share, &identity.naming, 0)
        .map_err(|problem| format!("{}: {problem}", args.scenario))?;

    let traffic = match &definition.messages {
        None => None,
        Some(messages) => {
            let qos = args.qos.map_or(messages.qos, qos);
            let in_file = messages.rate_per_publisher.map(|rate| rate * f64::from(publishers - retained));
            let rate = match (args.rate, args.window) {
                (Some(rate), _) => Some(rate as f64),
                (None, Some(_)) => None,
                (None, None) => in_file,
            };
            let pace = match rate.map(f64::round) {
                // Nothing is sent.
                _ if publishers == retained => Pace::Rate { per_second: 1 },
                Some(rate) if rate < 1.0 || rate > RATE_MAX as f64 => {
                    return Err(format!("all publishers together must send 1 to {RATE_MAX} messages a second"));
                }
                Some(rate) => Pace::Rate { per_second: rate as u64 },
                None => {
                    let window = args.window.or(messages.window).unwrap_or(WINDOW_DEFAULT);
                    pace_of_window(window, qos, messages.credit.unwrap_or(Credit::Both))
                }
            };
            let limit = args.span.limit.or(messages.limit);
            let payload = payload(&payload_args(args, messages)?, &identity.naming)?;
            Some(Traffic { qos, payload, pace, retain: messages.retain, burst: messages.burst, limit })
        }
    };
    let disturbances = definition.disturbances(&subscriber_groups);
    let quiet = traffic.is_none();
    let of_messages = traffic.as_ref().map_or(QoS::AtMostOnce, |traffic| traffic.qos);
    // An option for the messages' QoS is meant for what arrives as well.
    let of_file = definition.subscribing().and_then(|group| group.qos).filter(|_| args.qos.is_none());
    let subscription_qos = of_file.unwrap_or(of_messages);
    let unless_quiet = |given: Option<Duration>, in_file| if quiet { Duration::ZERO } else { given.unwrap_or(in_file) };
    let limit_in_file = definition.messages.as_ref().and_then(|messages| messages.limit);
    let warmup = args
        .warmup
        .or(args.span.limit.map(|_| Duration::ZERO))
        .or(definition.warmup)
        .unwrap_or(if limit_in_file.is_some() { Duration::ZERO } else { WARMUP_DEFAULT });
    Ok(Draft {
        run,
        scenario: Box::new(groups),
        traffic,
        received: None,
        subscription_qos,
        duration: args.duration.unwrap_or(definition.duration),
        warmup: if quiet { Duration::ZERO } else { warmup },
        wait: args.span.wait_before_publishing.unwrap_or(definition.wait_before_publishing),
        // Clients that are away have to come back, also where no messages are waited for.
        drain: if disturbances.is_empty() {
            unless_quiet(args.drain, definition.drain)
        } else {
            args.drain.unwrap_or(definition.drain)
        },
        identity,
        common,
        disturbances,
        retained,
    })
}

/// The will of every client: that of the options, or else of the file.
fn will(given: &WillArgs, in_file: Option<&Will>) -> WillArgs {
    match (&given.will_topic, in_file) {
        (None, Some(will)) => WillArgs {
            will_topic: Some(will.topic.clone()),
            will_payload: will.payload.clone(),
            will_qos: will.qos.bits(),
            will_retain: will.retain,
        },
        _ => given.clone(),
    }
}

/// What is in the messages: options, then what the file says. A file named there is looked for beside it.
fn payload_args(args: &RunArgs, messages: &Messages) -> Result<PayloadArgs, String> {
    let given = &args.payload;
    let (file, template) = if given.payload_file.is_some() || given.payload_template.is_some() {
        (given.payload_file.clone(), given.payload_template.clone())
    } else {
        (messages.payload_file.clone(), messages.payload_template.clone())
    };
    if args.text.is_some() && given.payload_file.is_none() && file.is_some() {
        return Err("payload_file: a scenario file that is run by other processes must not name files of theirs; use \
                    payload_template"
            .into());
    }
    let beside = Path::new(&args.scenario).parent().unwrap_or(Path::new(""));
    Ok(PayloadArgs {
        size: given.size.clone().or(messages.size.clone()),
        payload_file: file.map(|file| if given.payload_file.is_some() { file } else { beside.join(file) }),
        payload_template: template,
        payload_hdrs: given.payload_hdrs.clone().or(messages.payload_headers.clone()),
    })
}

#[cfg(test)]
mod tests {
    use crate::definition::presets::PRESETS;
    use crate::payload::{Payload, Sizes};
    use crate::plan::tests::plan;
    use crate::plan::{Pace, Plan};
    use ringmq_wire::{QoS, Version};
    use std::time::Duration;

    /// Publishers, subscribers, messages a second, deliveries a second.
    fn figures(line: &str) -> (u32, u32, u64, u64) {
        let plan = plan(line).unwrap();
        let (publishers, rate) = (plan.scenario.publishers(), plan.rate().unwrap_or(0));
        let copies = if publishers > 0 { u64::from(plan.scenario.copies(publishers - 1)) } else { 0 };
        (publishers, plan.scenario.subscribers(), rate, rate * copies)
    }

    #[test]
    fn presets_are_what_their_names_say() {
        for (name, expected) in [
            ("conn-tcp-10K-100", (0, 10_000, 0, 0)),
            ("p2p-1K-1K-1K-1K", (1000, 1000, 1000, 1000)),
            ("fanout-1-1K-1-1K", (1, 1000, 1, 1000)),
            ("sharedsub-1K-5-1K-1K", (1000, 5, 1000, 1000)),
            ("conn-tcp-1M-5K", (0, 1_000_000, 0, 0)),
            ("p2p-50K-50K-50K-50K", (50_000, 50_000, 50_000, 50_000)),
            ("fanout-5-1000-5-250K", (5, 1000, 250, 250_000)),
            ("sharedsub-50K-500-50K-50K", (50_000, 500, 50_000, 50_000)),
        ] {
            assert_eq!(figures(&format!("run {name}")), expected, "{name}");
            let plan = plan(&format!("run {name}")).unwrap();
            assert_eq!((plan.identity.keep_alive, plan.duration), (300, Duration::from_secs(1800)), "{name}");
            if let Some(traffic) = plan.traffic {
                let payload = Payload::stamped(Sizes::One(16));
                assert_eq!((traffic.qos, plan.subscription_qos), (QoS::AtLeastOnce, traffic.qos));
                assert_eq!(traffic.payload, payload);
            }
        }
    }

    #[test]
    fn scale_changes_the_load_in_proportion() {
        assert_eq!(figures("run p2p-50K-50K-50K-50K --scale 0.01"), (500, 500, 500, 500));
        assert_eq!(figures("run fanout-5-1000-5-250K --scale 0.1"), (5, 100, 250, 25_000));
        assert_eq!(figures("run sharedsub-50K-500-50K-50K --scale 0.1"), (5000, 50, 5000, 5000));
        for preset in PRESETS {
            assert!(plan(&format!("run {} --scale 0.0001", preset.name)).is_ok(), "{}", preset.name);
        }
    }

    #[test]
    fn options_win_over_the_file() {
        let line = "run sharedsub-1K-5-1K-1K --mqtt 4 --keepalive 5 --qos 2 --size 100 --window 3 --duration 1s";
        let plan = plan(&format!("{line} --warmup 2s --drain 3s --connect-rate 7 --scale 0.01")).unwrap();
        let Plan { identity, duration, warmup, drain, connecting, subscription_qos, .. } = &plan;
        assert_eq!((identity.version, identity.keep_alive, connecting.rate), (Version::V311, 5, Some(7)));
        assert_eq!([*duration, *warmup, *drain].map(|time| time.as_secs()), [1, 2, 3]);
        assert_eq!(*subscription_qos, QoS::ExactlyOnce);
        let traffic = plan.traffic.unwrap();
        assert_eq!((traffic.qos, traffic.payload), (QoS::ExactlyOnce, Payload::stamped(Sizes::One(100))));
        let both = Pace::Window { messages: 3, until_acknowledged: true, until_delivered: true };
        assert_eq!(traffic.pace, both);
    }

    #[test]
    fn a_file_can_say_what_options_can() {
        let file = std::env::temp_dir().join(format!("loadgen-keys-{}.toml", std::process::id()));
        let text = "description = \"x\"\nduration = \"1s\"\nramp_up = \"3s\"\nwait_before_publishing = \"4s\"\n\
                    qoe_log = \"clients.csv\"\n[will]\ntopic = \"gone/%c\"\npayload = \"bye\"\nqos = 1\nretain = true\n\
                    [messages]\nlimit = 5\nrate_per_publisher = 2\n[[publishers]]\ncount = 2\ntopic = \"a\"\n";
        std::fs::write(&file, text).unwrap();
        let of_file = plan(&format!("run {}", file.display())).unwrap();
        let will = of_file.identity.will.as_ref().unwrap();
        assert_eq!((will.topic.as_str(), will.payload.as_str(), will.retain), ("gone/%c", "bye", true));
        assert_eq!(will.qos, QoS::AtLeastOnce);
        assert_eq!([of_file.ramp_up, of_file.wait, of_file.warmup].map(|time| time.as_secs()), [3, 4, 0]);
        assert_eq!(of_file.lead_in(), Duration::from_secs(3));
        assert_eq!(of_file.traffic.as_ref().unwrap().limit, Some(5));
        assert_eq!(of_file.generator.qoe_log.as_deref(), Some(std::path::Path::new("clients.csv")));
        let options = "--ramp-up 1s --wait-before-publishing 0s --limit 6 --will-topic w --qoe-log y --warmup 2s";
        let wins = plan(&format!("run {} {options}", file.display())).unwrap();
        std::fs::remove_file(&file).unwrap();
        let will = wins.identity.will.as_ref().unwrap();
        assert_eq!((will.topic.as_str(), will.payload.as_str(), will.retain), ("w", "", false));
        assert_eq!([wins.ramp_up, wins.wait, wins.warmup].map(|time| time.as_secs()), [1, 0, 2]);
        assert_eq!(wins.traffic.as_ref().unwrap().limit, Some(6));
        assert_eq!(wins.generator.qoe_log.as_deref(), Some(std::path::Path::new("y")));
    }

    #[test]
    fn a_loop_that_nothing_would_stop_is_refused() {
        let file = std::env::temp_dir().join(format!("loadgen-unheard-{}.toml", std::process::id()));
        let text = |more: &str| {
            format!(
                "description = \"x\"\nduration = \"1s\"\n[messages]\n{more}\n[[publishers]]\ncount = 1\ntopic = \"a\"\n"
            )
        };
        let attempt = |more: &str| {
            std::fs::write(&file, text(more)).unwrap();
            plan(&format!("run {}", file.display()))
        };
        assert!(attempt("window = 1").unwrap_err().contains("nobody"));
        assert!(attempt("qos = 1\nwindow = 1\ncredit = \"delivery\"").unwrap_err().contains("nobody"));
        assert!(attempt("qos = 1\nwindow = 1").is_ok());
        assert!(attempt("rate_per_publisher = 10").is_ok());
        assert!(attempt("rate_per_publisher = 0.1").is_err());
        std::fs::remove_file(&file).unwrap();
    }
}
