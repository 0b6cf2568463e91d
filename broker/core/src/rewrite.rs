//! Topic rewriting, as a shard sees it: somebody outside knows the rules (EMQX's `rewrite`).
//!
//! Rules have regular expressions, and those need tables and caches that a shard has no business with; so the rules are
//! compiled by the binary and handed in, and so are others when they change. Without rules there is no [`Rewriter`], and a
//! PUBLISH pays one test for that.
//!
//! What of a name the rules are asked about, and what of their answer counts, is said here once: for the shard, and for
//! whoever tries them out.

use crate::shard::{EXCLUSIVE_PREFIX, undelayed};
use crate::topics::filter;
use alloc::format;
use alloc::string::String;
use core::fmt::Debug;

/// What a topic is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RewriteAction {
    /// A message that is published, a will included.
    Publish,
    /// SUBSCRIBE or UNSUBSCRIBE.
    Subscribe,
}

/// Whose topic it is.
#[derive(Debug, Clone, Copy)]
pub struct RewriteClient<'a> {
    /// Its client identifier.
    pub client_id: &'a str,
    /// Its user name, if it gave one.
    pub username: Option<&'a str>,
}

/// The rules of rewriting.
pub trait Rewriter: Debug + Send {
    /// Puts what `topic` is to be called into `out`, which is empty. False, and `out` of no meaning, if it stays as it
    /// is. The result is not checked.
    fn rewrite(&self, action: RewriteAction, topic: &str, client: RewriteClient<'_>, out: &mut String) -> bool;
}

/// A topic that is published to, as the rules leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewrittenTopic {
    /// What the topic as a whole is called; `None` if it keeps its name.
    pub name: Option<String>,
    /// If that asks for a delay, what the message is published under once it is over; `None` if what follows
    /// `$delayed/<seconds>/` keeps its name.
    pub delayed: Option<String>,
}

impl RewrittenTopic {
    /// The whole name of what was `topic`, with the delay if there is one; `None` if nothing was rewritten.
    #[must_use]
    pub fn full(self, topic: &str) -> Option<String> {
        let Some(delayed) = self.delayed else { return self.name };
        let whole = self.name.as_deref().unwrap_or(topic);
        let bare = undelayed(whole).unwrap_or_default();
        Some(format!("{}{delayed}", &whole[..whole.len() - bare.len()]))
    }
}

/// What the rules make of a topic that is published to. They apply to it as a whole, and once more to what follows
/// `$delayed/<seconds>/` where delays are understood, as in EMQX, where the second time is that of publishing. A result
/// that is no topic name, or has more levels than allowed, changes nothing.
#[must_use]
pub fn rewritten_topic(
    rules: &dyn Rewriter,
    topic: &str,
    client: RewriteClient<'_>,
    delays: bool,
    levels_max: u16,
) -> RewrittenTopic {
    let rewritten = |topic: &str| {
        let mut name = String::new();
        let sound = |name: &String| {
            !filter::has_wildcard(name) && filter::parse(name).is_ok_and(|parsed| parsed.levels <= levels_max)
        };
        rules.rewrite(RewriteAction::Publish, topic, client, &mut name).then_some(name).filter(sound)
    };
    let name = rewritten(topic);
    let bare = if delays { undelayed(name.as_deref().unwrap_or(topic)) } else { None };
    let delayed = bare.and_then(rewritten);
    RewrittenTopic { name, delayed }
}

/// What the rules make of a filter that a client wrote: of a shared or exclusive subscription, what is behind the prefix
/// is rewritten. `None` if it stays as it is.
#[must_use]
pub fn rewritten_filter(rules: &dyn Rewriter, raw: &str, client: RewriteClient<'_>) -> Option<String> {
    let real = real_filter(raw);
    let mut filter = String::new();
    let rewritten = rules.rewrite(RewriteAction::Subscribe, real, client, &mut filter);
    rewritten.then(|| format!("{}{filter}", &raw[..raw.len() - real.len()]))
}

/// What topics are matched with of a filter that a client wrote, well-formed or not.
pub(crate) fn real_filter(raw: &str) -> &str {
    raw.strip_prefix(EXCLUSIVE_PREFIX).unwrap_or_else(|| filter::parse(raw).map_or(raw, |parsed| parsed.filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: RewriteClient<'_> = RewriteClient { client_id: "c", username: None };

    /// `old/...` becomes `new/...`, `late/...` `$delayed/5/old/...`, `bad/...` what is no topic.
    #[derive(Debug)]
    struct Mover;

    impl Rewriter for Mover {
        fn rewrite(&self, _: RewriteAction, topic: &str, _: RewriteClient<'_>, out: &mut String) -> bool {
            for (from, to) in [("old/", "new/"), ("late/", "$delayed/5/old/"), ("bad/", "#/")] {
                if let Some(rest) = topic.strip_prefix(from) {
                    *out = format!("{to}{rest}");
                    return true;
                }
            }
            false
        }
    }

    #[test]
    fn of_a_filter_what_is_behind_the_prefix_is_rewritten() {
        let filter = |raw| rewritten_filter(&Mover, raw, CLIENT);
        for (raw, meant) in [
            ("old/+", "new/+"),
            ("$share/g/old/#", "$share/g/new/#"),
            ("$queue/old/x", "$queue/new/x"),
            ("$exclusive/old/x", "$exclusive/new/x"),
        ] {
            assert_eq!(filter(raw).as_deref(), Some(meant), "{raw}");
        }
        for raw in ["x", "$share/old/x", "$share/old/g/x", "$q/old"] {
            assert_eq!(filter(raw), None, "{raw}");
        }
    }

    #[test]
    fn of_a_topic_the_whole_is_rewritten_and_what_is_delayed_once_more() {
        let topic = |topic: &str, delays| rewritten_topic(&Mover, topic, CLIENT, delays, 4).full(topic);
        assert_eq!(topic("old/a", true).as_deref(), Some("new/a"));
        assert_eq!(topic("$delayed/9/old/a", true).as_deref(), Some("$delayed/9/new/a"));
        assert_eq!(topic("late/a", true).as_deref(), Some("$delayed/5/new/a"));
        assert_eq!(topic("late/a", false).as_deref(), Some("$delayed/5/old/a"));
        assert_eq!(topic("$delayed/9/old/a", false), None);
        assert_eq!((topic("bad/a", true), topic("old/b/c/d/e", true), topic("x", true)), (None, None, None));
    }
}
