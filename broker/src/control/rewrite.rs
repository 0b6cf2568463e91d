//! Topic rewriting, tried out for a client that need not be there.

use super::console::Console;
use crate::config::Problem;
use crate::rewrite::Rules;
use ringmq_core::rewrite::{self, RewriteClient};
use ringmq_core::settings::Settings;
use serde_json::{Value, json};

impl Console {
    /// What the rules in force make of a topic or filter, as a shard would ask them: `topic`, and whether it was
    /// `rewritten`.
    pub(super) fn rewrite(
        &self,
        action: &str,
        topic: &str,
        client_id: &str,
        username: Option<&str>,
    ) -> Result<Value, Problem> {
        let client = RewriteClient { client_id, username };
        let loaded = self.lock();
        let rules = Rules::rewriter(&loaded.config.rewrite);
        let rewritten = match (action, &rules) {
            ("publish", Some(rules)) => {
                let Settings { delayed_enable, max_topic_levels, .. } = loaded.config.settings;
                rewrite::rewritten_topic(rules, topic, client, delayed_enable, max_topic_levels).full(topic)
            }
            ("subscribe", Some(rules)) => rewrite::rewritten_filter(rules, topic, client),
            ("publish" | "subscribe", None) => None,
            (other, _) => {
                let problem = Problem::new(format!("`{}` is no action", other.escape_debug()));
                return Err(problem.with_help("publish or subscribe"));
            }
        };
        Ok(json!({ "topic": rewritten.as_deref().unwrap_or(topic), "rewritten": rewritten.is_some() }))
    }
}
