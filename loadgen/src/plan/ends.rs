//! `pub` and `sub`: one end alone, with topics as they are given.

use super::resolve::{identity, qos, resolve_traffic, run_number};
use super::{Draft, Identity};
use crate::cli::{CommonArgs, PubArgs, SubArgs};
use crate::scenario::{Groups, PublisherGroup, SubscriberGroup};
use std::time::Duration;

/// The identity of clients whose topics have no prefix.
fn bare_identity(common: &CommonArgs, run: u32, publishers: u32, clients: u32) -> Result<Identity, String> {
    let identity = identity(common, run, publishers, clients)?;
    Ok(Identity { topic_prefix: String::new(), ..identity })
}

/// Drafts a run of `pub`.
pub(super) fn draft_pub(args: &PubArgs) -> Result<Draft, String> {
    if args.traffic.sub_qos.is_some() {
        return Err("--sub-qos: `pub` has no subscribers".into());
    }
    let (run, count) = (run_number(), args.publishers);
    let identity = bare_identity(&args.common, run, count, count)?;
    let group = PublisherGroup { count, topic: args.topic.clone(), topics: args.topics };
    let groups = Groups::new("pub".into(), &[group], &[], None, &identity.naming, identity.naming.first)
        .map_err(|problem| format!("--topic: {problem}"))?;
    let traffic = resolve_traffic(&args.traffic, count, &identity.naming)?;
    Ok(Draft {
        run,
        scenario: Box::new(groups),
        subscription_qos: traffic.qos,
        traffic: Some(traffic),
        received: None,
        duration: args.traffic.duration,
        warmup: args.traffic.warmup,
        wait: args.traffic.span.wait_before_publishing.unwrap_or_default(),
        drain: args.traffic.drain,
        identity,
        common: args.common.clone(),
        disturbances: Vec::new(),
        retained: 0,
    })
}

/// Drafts a run of `sub`.
pub(super) fn draft_sub(args: &SubArgs) -> Result<Draft, String> {
    if args.topic.len() > SubArgs::FILTERS_MAX {
        return Err(format!("--topic: at most {} filters", SubArgs::FILTERS_MAX));
    }
    let (run, count) = (run_number(), args.subscribers);
    let identity = bare_identity(&args.common, run, 0, count)?;
    let group = SubscriberGroup { count, filters: args.topic.clone(), topics: args.topics };
    let groups = Groups::new("sub".into(), &[], &[group], args.share.clone(), &identity.naming, identity.naming.first)
        .map_err(|problem| format!("--topic: {problem}"))?;
    Ok(Draft {
        run,
        scenario: Box::new(groups),
        traffic: None,
        received: args.payload_hdrs.clone(),
        subscription_qos: qos(args.qos),
        duration: args.duration,
        warmup: Duration::ZERO,
        wait: Duration::ZERO,
        drain: Duration::ZERO,
        identity,
        common: args.common.clone(),
        disturbances: Vec::new(),
        retained: 0,
    })
}

#[cfg(test)]
mod tests {
    use crate::plan::Pace;
    use crate::plan::tests::plan;
    use std::time::Duration;

    #[test]
    fn topics_are_what_was_given() {
        let line = "pub --publishers 3 --topic a/%i/%t/%c/%u --topics 2 --username me --client-id-prefix x --qos 1";
        let publishing = plan(&format!("{line} --start-number 4")).unwrap();
        assert_eq!((publishing.topic(0), publishing.topic(1)), ("a/4/0/xp4/me".into(), "a/5/1/xp5/me".into()));
        let subscribing = plan("sub --subscribers 2 --topic +/%i --topic b/# --share g").unwrap();
        assert_eq!(subscribing.filters(1), ["$share/g/+/1", "$share/g/b/#"]);
    }

    #[test]
    fn what_one_end_cannot_do_is_refused() {
        for (line, word) in [
            ("pub --topic a/%u --rate 1", "--username"),
            ("pub --topic a", "--interval"),
            ("pub --topic a --rate 1 --sub-qos 1", "--sub-qos"),
            ("pub --topic a --publishers 2 --interval 5s", "1 to"),
        ] {
            let problem = plan(line).unwrap_err();
            assert!(problem.contains(word), "`{line}`: {problem}");
        }
    }

    #[test]
    fn an_interval_is_a_rate_and_a_limit_needs_no_warm_up() {
        let publishing =
            plan("pub --topic a --publishers 50 --interval 2s --limit 9 --wait-before-publishing 1s").unwrap();
        let traffic = publishing.traffic.as_ref().unwrap();
        assert_eq!((traffic.pace, traffic.limit), (Pace::Rate { per_second: 25 }, Some(9)));
        assert_eq!((publishing.warmup, publishing.wait), (Duration::ZERO, Duration::from_secs(1)));
        let with_warm_up = plan("p2p --limit 9 --warmup 3s").unwrap();
        assert_eq!((with_warm_up.warmup, with_warm_up.wait), (Duration::from_secs(3), Duration::ZERO));
        assert_eq!(plan("p2p").unwrap().warmup, Duration::from_secs(2));
    }
}
