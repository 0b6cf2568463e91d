//! What a disturbed run must not be, because its checks could not be exact.
//!
//! Absent: what one disturbance's keys mean together, see [`disturbance`](crate::disturbance).

use super::{Identity, Pace, Plan};
use crate::disturbance::{Disturbance, Kind, nanos};
use ringmq_wire::Version;

impl Identity {
    /// Whether the broker has to keep a session when its connection ends.
    #[must_use]
    pub fn keeps_session(&self) -> bool {
        // In MQTT 5.0 a session ends with its connection unless it has an expiry [MQTT-3.1.2-23].
        !self.clean && (self.version != Version::V5 || self.expiry != 0)
    }
}

impl Plan {
    /// Connections that may be open at once.
    #[must_use]
    pub fn connections(&self) -> u32 {
        let second = |it: &&Disturbance| it.disturb.kind == Kind::Takeover;
        self.clients() + self.disturbances.iter().filter(second).map(Disturbance::clients).sum::<u32>()
    }

    /// Refuses what could not be checked.
    pub(super) fn check_disturbances(&self) -> Result<(), String> {
        self.check_disturbances_over(self.threads() as u32)
    }

    /// The same with so many threads, those of all processes together.
    pub(crate) fn check_disturbances_over(&self, threads: u32) -> Result<(), String> {
        for it in &self.disturbances {
            self.check_disturbance(it, threads).map_err(|problem| format!("{}: {problem}", it.disturb.kind.name()))?;
        }
        Ok(())
    }

    fn check_disturbance(&self, it: &Disturbance, threads: u32) -> Result<(), String> {
        let disturb = &it.disturb;
        if disturb.at >= self.duration {
            return Err(format!("at {:?} the run of {:?} is over", disturb.at, self.duration));
        }
        if self.scenario.share().is_some() {
            return Err("members of a shared subscription cannot be disturbed: who has to get what is not known".into());
        }
        let Some(traffic) = &self.traffic else { return Ok(()) };
        if matches!(traffic.pace, Pace::Window { .. }) {
            return Err("needs an open loop (rate_per_publisher or --rate): a closed one would wait for clients that \
                        are away"
                .into());
        }
        let keep_alive_ns = u64::from(self.identity.keep_alive) * crate::clock::NANOS_PER_SECOND;
        if disturb.kind == Kind::Pause {
            // A client that does not read does not ping either.
            if keep_alive_ns != 0 && nanos(disturb.lasts) >= keep_alive_ns / 2 {
                return Err("lasts must be below half the keep-alive".into());
            }
            return Ok(());
        }
        if traffic.retain && !(disturb.kind != Kind::Resubscribe && self.identity.keeps_session()) {
            return Err("with retain, a client that subscribes again gets an old message again".into());
        }
        if disturb.kind == Kind::Resubscribe && it.hit().any(|subscriber| self.scenario.filters(subscriber).is_empty())
        {
            return Err("the group has no filters".into());
        }
        let strays = it.hit().any(|subscriber| {
            let thread = self.scenario.subscriber_thread(subscriber, threads);
            let mut sources = self.scenario.sources(subscriber).iter().collect::<Vec<_>>().into_iter();
            sources.any(|publisher| {
                publisher < self.live_publishers() && self.scenario.publisher_thread(publisher, threads) != thread
            })
        });
        if threads > 1 && strays {
            return Err(format!(
                "what a client misses is counted exactly only if its publishers run on its thread, and there are \
                 {threads} threads: use one core of one process, or pairs with the same numbers"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;
    use crate::plan::tests::plan;

    fn attempt(change: impl Fn(String) -> String, options: &str) -> Result<Plan, String> {
        let text = "description = \"x\"\nmqtt = \"5.0\"\nduration = \"5s\"\n[messages]\nqos = 1\nrate_per_publisher = 10\n\
                    [[publishers]]\ncount = 4\ntopic = \"a/%i\"\n[[subscribers]]\ncount = 4\nfilters = [\"a/%i\"]\n\
                    disturb = { kind = \"reconnect\", share = 0.5 }\n";
        let name = format!("loadgen-disturbed-{}-{:?}.toml", std::process::id(), std::thread::current().id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, change(text.into())).unwrap();
        let plan = plan(&format!("run {} {options}", file.display()));
        std::fs::remove_file(&file).unwrap();
        plan
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        assert_eq!(attempt(|text| text, "").unwrap().disturbances[0].hit(), 0..2);
        assert_eq!(attempt(|text| text.replace("reconnect", "takeover"), "").unwrap().connections(), 10);
        assert_eq!(attempt(|text| text, "--scale 2 --cores 0,1").unwrap().disturbances[0].hit(), 0..4);
        let same = |text: String| text;
        let all = |text: String| text.replace("[\"a/%i\"]", "[\"a/#\"]");
        let shared = |text: String| text.replace("filters =", "share = \"g\"\nfilters =");
        let retain = |text: String| text.replace("qos = 1", "qos = 1\nretain = true");
        let silent = |text: String| text.replace("reconnect\"", "resubscribe\"").replace("filters = [\"a/%i\"]\n", "");
        let pause = |text: String| text.replace("reconnect\"", "pause\", lasts = \"2s\"");
        assert!(attempt(all, "").is_ok() && attempt(pause, "").is_ok());
        assert!(attempt(all, "").unwrap().check_disturbances_over(2).unwrap_err().contains("on its thread"));
        assert!(attempt(retain, "--clean false --expiry 9").is_ok());
        for (problem, word) in [
            (attempt(same, "--duration 1s"), "is over"),
            (attempt(same, "--window 3"), "open loop"),
            (attempt(all, "--cores 0,1"), "on its thread"),
            (attempt(shared, ""), "shared"),
            (attempt(retain, ""), "retain"),
            (attempt(silent, ""), "no filters"),
            (attempt(pause, "--keepalive 4"), "keep-alive"),
        ] {
            let problem = problem.unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn a_session_is_kept_if_it_has_an_expiry_or_no_clean_start_before_mqtt_5() {
        for (line, kept) in [
            ("p2p", false),
            ("p2p --clean false", true),
            ("p2p --clean false --mqtt 5", false),
            ("p2p --clean false --mqtt 5 --expiry 9", true),
            ("p2p --mqtt 5 --expiry 9", false),
        ] {
            assert_eq!(plan(line).unwrap().identity.keeps_session(), kept, "{line}");
        }
    }
}
