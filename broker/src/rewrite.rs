//! Topic rewriting (`rewrite`): rules with regular expressions, compiled once, asked by every shard.
//!
//! The first rule whose filter matches decides: if its expression does not, the topic stays as it is and no
//! other rule is tried. Expressions take time linear in the length of the topic; one that would need more than
//! [`COMPILED_BYTES_MAX`] is refused.

use regex::{Captures, Regex, RegexBuilder};
use ringmq_core::rewrite::{RewriteAction, RewriteClient, Rewriter};
use ringmq_core::topics::filter;
use std::sync::Arc;

/// Largest compiled expression, bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Where a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    Publish,
    Subscribe,
    All,
}

impl Applies {
    fn covers(self, action: RewriteAction) -> bool {
        match action {
            RewriteAction::Publish => self != Self::Subscribe,
            RewriteAction::Subscribe => self != Self::Publish,
        }
    }
}

/// A piece of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `$N`: what the N-th group matched.
    Group(usize),
    ClientId,
    Username,
}

/// One rule. Two are the same if they were written alike.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    applies: Applies,
    source: String,
    expression: Regex,
    destination: Vec<Piece>,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.applies == other.applies
            && self.source == other.source
            && self.expression.as_str() == other.expression.as_str()
            && self.destination == other.destination
    }
}

impl Rule {
    /// A rule from what the operator wrote.
    ///
    /// # Errors
    /// Why the expression does not compile, or lacks a group that the destination names.
    pub(crate) fn new(applies: Applies, source: &str, expression: &str, destination: &str) -> Result<Self, String> {
        let expression = compile(expression, COMPILED_BYTES_MAX)?;
        let destination = pieces(destination);
        for piece in &destination {
            if let Piece::Group(number) = piece
                && *number >= expression.captures_len()
            {
                return Err(format!("has no group {number}, which dest_topic names"));
            }
        }
        Ok(Self { applies, source: source.to_owned(), expression, destination })
    }

    /// Puts the destination together. False if something that it names is not there.
    fn fill(&self, groups: &Captures<'_>, client: RewriteClient<'_>, out: &mut String) -> bool {
        for piece in &self.destination {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(number) => out.push_str(groups.get(*number).map_or("", |group| group.as_str())),
                Piece::ClientId => out.push_str(client.client_id),
                Piece::Username => match client.username {
                    Some(username) => out.push_str(username),
                    None => return false,
                },
            }
        }
        true
    }
}

/// Compiles a regular expression that may take `bytes_max` bytes.
///
/// # Errors
/// It is none, or larger; as the end of a sentence that begins with the expression.
pub(crate) fn compile(expression: &str, bytes_max: usize) -> Result<Regex, String> {
    RegexBuilder::new(expression).size_limit(bytes_max).build().map_err(|error| {
        // Its last line says what is wrong; those before draw where.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("is no regular expression: {last}")
    })
}

/// Takes a destination apart; a `$` that begins nothing known stands for itself.
fn pieces(destination: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = destination;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        let (piece, length) = if let Some(number) = rest.get(1..=digits).and_then(|digits| digits.parse().ok()) {
            (Piece::Group(number), 1 + digits)
        } else if rest.starts_with("${clientid}") {
            (Piece::ClientId, "${clientid}".len())
        } else if rest.starts_with("${username}") {
            (Piece::Username, "${username}".len())
        } else {
            text.push('$');
            rest = &rest[1..];
            continue;
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece);
        rest = &rest[length..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

/// The rules in their order, shared by the shards.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Arc<[Rule]>);

impl Rules {
    /// What a shard asks; `None` without rules.
    pub(crate) fn rewriter(rules: &[Rule]) -> Option<Self> {
        (!rules.is_empty()).then(|| Self(rules.into()))
    }

    /// As a shard takes them.
    pub(crate) fn boxed(rules: Option<&Self>) -> Option<Box<dyn Rewriter>> {
        rules.map(|rules| Box::new(rules.clone()) as Box<dyn Rewriter>)
    }
}

impl Rewriter for Rules {
    fn rewrite(&self, action: RewriteAction, topic: &str, client: RewriteClient<'_>, out: &mut String) -> bool {
        // A client may subscribe with wildcards: the rule's filter is then matched with them as if they were levels.
        let decides = |rule: &&Rule| rule.applies.covers(action) && filter::matches(&rule.source, topic);
        let Some(rule) = self.0.iter().find(decides) else { return false };
        rule.expression.captures(topic).is_some_and(|groups| rule.fill(&groups, client, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(rules: &[Rule], action: RewriteAction, topic: &str, username: Option<&str>) -> Option<String> {
        let rules = Rules::rewriter(rules).expect("rules");
        let mut out = String::new();
        rules.rewrite(action, topic, RewriteClient { client_id: "c", username }, &mut out).then_some(out)
    }

    fn published(rules: &[Rule], topic: &str) -> Option<String> {
        rewritten(rules, RewriteAction::Publish, topic, None)
    }

    /// The example of EMQX's documentation.
    #[test]
    fn the_first_rule_whose_filter_matches_decides() {
        let rule =
            |source, expression, destination| Rule::new(Applies::All, source, expression, destination).expect("a rule");
        let rules = [
            rule("y/+/z/#", "^y/(.+)/z/(.+)$", "y/z/$2"),
            rule("x/#", "^x/y/(.+)$", "z/y/x/$1"),
            rule("x/y/+", "^x/y/(\\d+)$", "z/y/$1"),
        ];
        assert_eq!(published(&rules, "y/a/z/b").as_deref(), Some("y/z/b"));
        assert_eq!(published(&rules, "y/def"), None);
        assert_eq!(published(&rules, "x/1/2"), None, "the expression does not match, and no other rule is tried");
        assert_eq!(published(&rules, "x/y/2").as_deref(), Some("z/y/x/2"));
        assert_eq!(published(&rules, "x/y/z").as_deref(), Some("z/y/x/z"));
        let subscribed = rewritten(&rules, RewriteAction::Subscribe, "y/+/z/#", None);
        assert_eq!(subscribed.as_deref(), Some("y/z/#"));
    }

    #[test]
    fn rules_apply_to_their_action_alone() {
        let rule = |applies| [Rule::new(applies, "a/#", "^a/(.*)$", "b/$1").expect("a rule")];
        for (applies, publish, subscribe) in
            [(Applies::Publish, true, false), (Applies::Subscribe, false, true), (Applies::All, true, true)]
        {
            let rules = rule(applies);
            assert_eq!(rewritten(&rules, RewriteAction::Publish, "a/x", None).is_some(), publish, "{applies:?}");
            assert_eq!(rewritten(&rules, RewriteAction::Subscribe, "a/x", None).is_some(), subscribe, "{applies:?}");
        }
    }

    #[test]
    fn destinations_name_groups_and_the_client() {
        let rule = |destination| Rule::new(Applies::All, "#", "^(.*?)/(.*)$", destination).map(|rule| [rule]);
        let rules = rule("${clientid}/${username}/$2/$1/$x$").expect("a rule");
        assert_eq!(published(&rules, "a/b"), None, "it has no user name");
        let named = rewritten(&rules, RewriteAction::Publish, "a/b", Some("u"));
        assert_eq!(named.as_deref(), Some("c/u/b/a/$x$"));
        assert!(rule("$3").expect_err("no third group").contains("no group 3"));
        assert!(Rule::new(Applies::All, "#", "(", "x").expect_err("open").contains("is no regular expression"));
        assert!(Rule::new(Applies::All, "#", "(a{1000}){1000}", "x").is_err(), "too large");
    }
}
