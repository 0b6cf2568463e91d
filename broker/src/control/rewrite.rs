//! Topic rewriting, tried out for a client that need not be there.

use super::console::Console;
use crate::config::Problem;
use crate::rewrite::Rules;
use ringmq_core::rewrite::{RewriteAction, RewriteClient, Rewriter};
use serde_json::{Value, json};

impl Console {
    /// What the rules in force make of a topic: `topic`, and whether it was `rewritten`.
    pub(super) fn rewrite(
        &self,
        action: &str,
        topic: &str,
        client_id: &str,
        username: Option<&str>,
    ) -> Result<Value, Problem> {
        let action = match action {
            "publish" => RewriteAction::Publish,
            "subscribe" => RewriteAction::Subscribe,
            other => {
                let problem = Problem::new(format!("`{}` is no action", other.escape_debug()));
                return Err(problem.with_help("publish or subscribe"));
            }
        };
        let client = RewriteClient { client_id, username };
        let mut out = String::new();
        let rules = Rules::rewriter(&self.lock().config.rewrite);
        let rewritten = rules.is_some_and(|rules| rules.rewrite(action, topic, client, &mut out));
        Ok(json!({ "topic": if rewritten { out.as_str() } else { topic }, "rewritten": rewritten }))
    }
}
