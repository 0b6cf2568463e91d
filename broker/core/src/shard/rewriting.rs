//! What the broker does with a topic before it looks at who wants it: rewriting, and delaying.
//!
//! Nothing here runs for an ordinary topic while there are no rules: see [`Shard::is_special`]. What rules are asked about
//! is in [`crate::rewrite`].

use super::Shard;
use super::delayed::DELAYED_PREFIX;
use super::publish::TakenIn;
use crate::machine::Effects;
use crate::message::Publication;
use crate::rewrite::{self, RewriteClient, Rewriter, RewrittenTopic};
use alloc::string::{String, ToString};

impl Shard {
    /// True if [`Shard::take_in_special`] may do more than [`Shard::take_in`] for a message with this topic.
    #[inline]
    pub(super) fn is_special(&self, topic: &str) -> bool {
        self.rewriter.is_some() || topic.as_bytes().first() == Some(&b'$')
    }

    /// Takes in a message whose topic may be rewritten, or ask for a delay.
    #[cold]
    pub(super) fn take_in_special(
        &mut self,
        passing: &Publication<'_>,
        session: u32,
        acknowledge_to: Option<u32>,
        fx: &mut Effects,
    ) -> TakenIn {
        let rewritten = self.rewritten_topic(session, passing.topic);
        let passing = Publication { topic: rewritten.name.as_deref().unwrap_or(passing.topic), ..*passing };
        let delayed = passing.topic.strip_prefix(DELAYED_PREFIX).filter(|_| self.hub.settings.delayed_enable);
        let Some(rest) = delayed else { return self.take_in(&passing, acknowledge_to, fx) };
        self.delay(&passing, rest, rewritten.delayed.as_deref(), fx)
    }

    fn rewritten_topic(&self, session: u32, topic: &str) -> RewrittenTopic {
        let Some((rules, client)) = self.rules_for(session) else { return RewrittenTopic::default() };
        let levels_max = self.settings_of(session).max_topic_levels;
        rewrite::rewritten_topic(rules, topic, client, self.hub.settings.delayed_enable, levels_max)
    }

    /// The filter that is meant by one that a client wrote.
    pub(super) fn rewritten_filter(&self, session: u32, raw: &str) -> String {
        let rules = self.rules_for(session);
        let rewritten = rules.and_then(|(rules, client)| rewrite::rewritten_filter(rules, raw, client));
        rewritten.unwrap_or_else(|| raw.to_string())
    }

    fn rules_for(&self, session: u32) -> Option<(&dyn Rewriter, RewriteClient<'_>)> {
        let names = &self.hub.sessions.get(session)?.names;
        let client = RewriteClient { client_id: names.client_id(), username: names.username() };
        Some((self.rewriter.as_deref()?, client))
    }
}
