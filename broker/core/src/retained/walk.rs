//! Where a filter's matches lie in the order of levels.

use alloc::string::String;

/// How a topic stands to a filter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It matches.
    Match,
    /// It does not, and neither does any topic from here up to the one that was written out.
    Before,
    /// Neither it nor any later topic matches.
    Past,
}

/// What sorts before everything else that continues a level: the end of all of the level's descendants.
const AFTER_DESCENDANTS: char = '\0';

/// Writes out a lower bound for the topics that match a well-formed filter.
pub(super) fn begin(filter: &str, bound: &mut String) {
    bound.clear();
    push_literals(filter, 0, bound);
}

/// Compares a topic with a filter. After [`Standing::Before`], `next` is the lowest text from which on a match is
/// possible; it is above `topic`.
pub(super) fn standing(filter: &str, topic: &str, next: &mut String) -> Standing {
    next.clear();
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        next.push('%'); // [MQTT-4.7.2-1]: what follows `$`
        return Standing::Before;
    }
    // Where the topic's level under the last `+` so far ends: its descendants can be left behind.
    let mut last_plus: Option<usize> = None;
    let mut filter_at = 0;
    let mut topic_at = 0;
    loop {
        let filter_level = level(filter, filter_at);
        let topic_level = level(topic, topic_at);
        match filter_level {
            "#" => return Standing::Match,
            "+" => last_plus = Some(topic_at + topic_level.len()),
            literal if literal == topic_level => {}
            literal if topic_level < literal => {
                next.push_str(&topic[..topic_at]);
                push_literals(filter, filter_at, next);
                return Standing::Before;
            }
            _ => return leave_behind(topic, last_plus, next),
        }
        filter_at += filter_level.len() + 1;
        topic_at += topic_level.len() + 1;
        match (filter_at > filter.len(), topic_at > topic.len()) {
            (true, true) => return Standing::Match,
            (true, false) => return leave_behind(topic, last_plus, next),
            // `x/#` matches x too: section 4.7.1.2.
            (false, true) if &filter[filter_at..] == "#" => return Standing::Match,
            (false, true) => {
                next.push_str(topic);
                next.push('/');
                push_literals(filter, filter_at, next);
                return Standing::Before;
            }
            (false, false) => {}
        }
    }
}

/// Nothing more can match under this value of the last `+`; the next value may.
fn leave_behind(topic: &str, last_plus: Option<usize>, next: &mut String) -> Standing {
    let Some(end) = last_plus else { return Standing::Past };
    next.push_str(&topic[..end]);
    next.push(AFTER_DESCENDANTS);
    Standing::Before
}

/// The level that begins at `at`.
fn level(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len())]
}

/// Appends the filter's levels from `at` up to its next wildcard. A `+` stands for at least an empty level, `#` perhaps
/// for nothing.
fn push_literals(filter: &str, at: usize, out: &mut String) {
    let rest = &filter[at..];
    let literals = match memchr::memchr2(b'+', b'#', rest.as_bytes()) {
        None => rest,
        Some(wildcard) if rest.as_bytes()[wildcard] == b'+' => &rest[..wildcard],
        Some(wildcard) => &rest[..wildcard.saturating_sub(1)],
    };
    out.push_str(literals);
}
