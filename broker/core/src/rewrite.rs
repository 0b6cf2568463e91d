//! Topic rewriting, as a shard sees it: somebody outside knows the rules (EMQX's `rewrite`).
//!
//! Rules have regular expressions, and those need tables and caches that a shard has no business with; so the rules are
//! compiled by the binary and handed in, and so are others when they change. Without rules there is no [`Rewriter`], and a
//! PUBLISH pays one test for that.

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
