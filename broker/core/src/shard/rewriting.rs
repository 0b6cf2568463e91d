//! What the broker does with a topic before it looks at who wants it: rewriting, and delaying.
//!
//! Nothing here runs for an ordinary topic while there are no rules: see [`Shard::is_special`].

use super::Shard;
use super::delayed::DELAYED_PREFIX;
use super::exclusive::EXCLUSIVE_PREFIX;
use super::publish::TakenIn;
use crate::machine::Effects;
use crate::message::Publication;
use crate::rewrite::{RewriteAction, RewriteClient};
use crate::topics::filter;
use alloc::format;
use alloc::string::{String, ToString};

impl Shard {
    /// True if [`Shard::take_in_special`] may do more than [`Shard::take_in`] for a message with this topic.
    #[inline]
    pub(super) fn is_special(&self, topic: &str) -> bool {
        self.rewriter.is_some() || topic.as_bytes().first() == Some(&b'$')
    }

    /// Takes in a message whose topic may be rewritten, or ask for a delay. A rule applies to the topic as a whole, and
    /// once more to what follows `$delayed/<seconds>/`, as in EMQX, where the second time is that of publishing.
    #[cold]
    pub(super) fn take_in_special(
        &mut self,
        passing: &Publication<'_>,
        session: u32,
        acknowledge_to: Option<u32>,
        fx: &mut Effects,
    ) -> TakenIn {
        let rewritten = self.rewritten_name(session, passing.topic);
        let passing = Publication { topic: rewritten.as_deref().unwrap_or(passing.topic), ..*passing };
        let delayed = passing.topic.strip_prefix(DELAYED_PREFIX).filter(|_| self.hub.settings.delayed_enable);
        let Some(rest) = delayed else { return self.take_in(&passing, acknowledge_to, fx) };
        let bare = Self::undelayed(passing.topic);
        let inner = bare.and_then(|topic| self.rewritten_name(session, topic));
        self.delay(&passing, rest, inner.as_deref(), fx)
    }

    /// The new name of a topic that is published to; `None` if it stays as it is. A rule whose result is no topic name
    /// changes nothing.
    fn rewritten_name(&self, session: u32, topic: &str) -> Option<String> {
        let name = self.rewritten(RewriteAction::Publish, session, topic)?;
        let sound = !filter::has_wildcard(&name)
            && filter::parse(&name).is_ok_and(|parsed| parsed.levels <= self.settings_of(session).max_topic_levels);
        sound.then_some(name)
    }

    /// The filter that is meant by one that a client wrote: of a shared or exclusive subscription, what is behind the
    /// prefix is rewritten.
    pub(super) fn rewritten_filter(&self, session: u32, raw: &str) -> String {
        let real = raw.strip_prefix(EXCLUSIVE_PREFIX).unwrap_or_else(|| filter::parse(raw).map_or(raw, |p| p.filter));
        let prefix = &raw[..raw.len() - real.len()];
        match self.rewritten(RewriteAction::Subscribe, session, real) {
            Some(filter) => format!("{prefix}{filter}"),
            None => raw.to_string(),
        }
    }

    fn rewritten(&self, action: RewriteAction, session: u32, topic: &str) -> Option<String> {
        let rewriter = self.rewriter.as_ref()?;
        let held = self.hub.sessions.get(session)?;
        let client = RewriteClient { client_id: held.names.client_id(), username: held.names.username() };
        let mut out = String::new();
        rewriter.rewrite(action, topic, client, &mut out).then_some(out)
    }
}
