//! Bans for clients that flap (`flapping_detect`).

use super::banned::Bans;
use super::console::Console;
use super::lists::Shards;
use crate::banned::{Rule, Who};
use crate::config::Problem;
use crate::log::module;
use crate::wall_clock;
use ringmq_core::control::Control as Request;
use ringmq_drive::Control;
use std::time::Duration;

/// Who makes these bans and why, in EMQX's words.
const BY: &str = "flapping detector";
const REASON: &str = "flapping is detected";

impl Console {
    /// Bans the clients that shards have found since the last time, if that is wanted.
    ///
    /// # Errors
    /// The shards do not answer, or the bans cannot be made.
    pub(crate) fn ban_flapping(&self) -> Result<(), Problem> {
        let flapping = self.settings().flapping;
        if !flapping.enable {
            return Ok(());
        }
        let answers = Shards(self.shards()).ask_all(|| Request::TakeFlapping)?;
        let found = answers.into_iter().flat_map(|(_, answer)| match answer {
            Request::Flapping(found) => found,
            _ => Vec::new(),
        });
        let found: Vec<Box<str>> = found.collect();
        if found.is_empty() {
            return Ok(());
        }
        self.bans().add_flapping(self.shards(), &found, flapping.ban_time)?;
        for clientid in &found {
            let ban_time_s = flapping.ban_time.as_secs();
            tracing::warn!(target: module::CLIENT, clientid = &**clientid, ban_time_s, "flapping_detected");
        }
        Ok(())
    }
}

impl Bans {
    /// Bans clients by their identifiers, except those that are banned already, and ends their sessions.
    fn add_flapping(&self, control: &Control, found: &[Box<str>], ban_time: Duration) -> Result<(), Problem> {
        let until_s = wall_clock::now_s().saturating_add(ban_time.as_secs());
        // One whose name is too long to be banned goes on.
        let whos =
            found.iter().filter_map(|client_id| Some((client_id.clone(), Who::parse("clientid", client_id).ok()?)));
        let (end, whos): (Vec<Box<str>>, Vec<Who>) = whos.unzip();
        self.change(control, &end, |rules| {
            for who in whos {
                if rules.get(&who).is_none() {
                    rules.add(who, Rule::from_now(BY, REASON, Some(until_s)))?;
                }
            }
            Ok(())
        })
    }
}
