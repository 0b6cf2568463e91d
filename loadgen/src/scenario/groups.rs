//! Groups of publishers and subscribers with topic templates: what scenario files describe.
//!
//! In a template `%i` is the client's number in its group, `%t` that number modulo the group's topics, `%c` the client
//! identifier, `%u` the user name, and `%%` a percent sign. Who hears whom follows from the topics and filters, which are expanded once.
//! Absent: reading scenario files, see [`definition`](crate::definition).

use super::routing::{LEVELS_MAX, Routes, route};
use super::{Scenario, Sources};
use crate::plan::Naming;

/// Publishers that differ by their number only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherGroup {
    /// How many.
    pub count: u32,
    /// Template of the topic each publishes to.
    pub topic: String,
    /// How many values `%t` takes.
    pub topics: u32,
}

/// Subscribers that differ by their number only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberGroup {
    /// How many.
    pub count: u32,
    /// Templates of the filters each subscribes to; none just holds a connection.
    pub filters: Vec<String>,
    /// How many values `%t` takes.
    pub topics: u32,
}

/// A scenario of groups.
#[derive(Debug, Clone)]
pub struct Groups {
    name: String,
    topics: Vec<String>,
    filters: Vec<Vec<String>>,
    share: Option<String>,
    routes: Routes,
}

impl Groups {
    /// Expands the templates and works out who hears whom. Clients are called what `naming` says, and
    /// `%i` counts from `first`.
    ///
    /// # Errors
    /// A text for the user, if a template is wrong or filters overlap.
    pub fn new(
        name: String,
        publishers: &[PublisherGroup],
        subscribers: &[SubscriberGroup],
        share: Option<String>,
        naming: &Naming,
        first: u32,
    ) -> Result<Self, String> {
        let mut topics = Vec::new();
        for group in publishers {
            for number in 0..group.count {
                let client = naming.publisher(topics.len() as u32);
                let (number, topics_of_group) = (first + number, Some(group.topics));
                let fill = Fill { number, topics: topics_of_group, client: &client, user: naming.user.as_deref() };
                topics.push(expand(&group.topic, &fill)?);
            }
        }
        let mut filters = Vec::new();
        for group in subscribers {
            for number in 0..group.count {
                let client = naming.subscriber(filters.len() as u32);
                let (number, topics) = (first + number, Some(group.topics));
                let fill = Fill { number, topics, client: &client, user: naming.user.as_deref() };
                let expanded = group.filters.iter().map(|filter| expand(filter, &fill));
                filters.push(expanded.collect::<Result<Vec<_>, _>>()?);
            }
        }
        let routes = route(&topics, &filters, share.is_some())?;
        Ok(Self { name, topics, filters, share, routes })
    }
}

/// What a template is filled in with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill<'a> {
    /// `%i`.
    pub(crate) number: u32,
    /// `%t` is the number modulo this; without, there is no `%t`.
    pub(crate) topics: Option<u32>,
    /// `%c`.
    pub(crate) client: &'a str,
    /// `%u`.
    pub(crate) user: Option<&'a str>,
}

/// Fills in a template.
pub(crate) fn expand(template: &str, fill: &Fill<'_>) -> Result<String, String> {
    let mut text = String::with_capacity(template.len() + 8);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        match after.as_bytes().first() {
            Some(b'i') => text.push_str(&fill.number.to_string()),
            Some(b't') => {
                let topics = fill.topics.ok_or_else(|| format!("`{template}`: there is no %t here"))?;
                text.push_str(&(fill.number % topics).to_string());
            }
            Some(b'c') => text.push_str(fill.client),
            Some(b'u') => {
                text.push_str(fill.user.ok_or_else(|| format!("`{template}`: %u needs a user name (--username)"))?);
            }
            Some(b'%') => text.push('%'),
            _ => return Err(format!("`{template}`: after % comes i, t, c, u or another %")),
        }
        rest = &after[1..];
    }
    text.push_str(rest);
    Ok(text)
}

/// Checks the template of a topic name, which has no wildcards [MQTT-3.3.2-2].
///
/// # Errors
/// A text for the user.
pub(crate) fn check_topic(template: &str) -> Result<(), String> {
    if template.contains(['+', '#']) {
        return Err(format!("`{template}`: a topic has no wildcards"));
    }
    check_filter(template)
}

/// Checks the template of a topic filter [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1].
///
/// # Errors
/// A text for the user.
pub(crate) fn check_filter(template: &str) -> Result<(), String> {
    let levels: Vec<&str> = template.split('/').collect();
    let (last, others) = levels.split_last().unwrap_or((&"", &[]));
    if template.is_empty() || template.contains('\0') {
        return Err(format!("`{template}`: at least one character, and no NUL"));
    }
    if template.starts_with('$') {
        return Err(format!("`{template}`: topics do not begin with $; shared subscriptions are made with `share`"));
    }
    if levels.len() > LEVELS_MAX {
        return Err(format!("`{template}`: at most {LEVELS_MAX} levels"));
    }
    let lone = |level: &str| level == "+" || !level.contains(['+', '#']);
    if !others.iter().all(|level| lone(level)) || !(lone(last) || *last == "#") {
        return Err(format!("`{template}`: + and # take up a whole level, and # is the last"));
    }
    expand(template, &Fill { number: 0, topics: Some(1), client: "", user: Some("") }).map(|_| ())
}

impl Scenario for Groups {
    fn name(&self) -> &str {
        &self.name
    }

    fn publishers(&self) -> u32 {
        self.topics.len() as u32
    }

    fn subscribers(&self) -> u32 {
        self.filters.len() as u32
    }

    fn topic(&self, publisher: u32) -> String {
        self.topics[publisher as usize].clone()
    }

    fn filters(&self, subscriber: u32) -> Vec<String> {
        self.filters[subscriber as usize].clone()
    }

    fn share(&self) -> Option<&str> {
        self.share.as_deref()
    }

    fn sources(&self, subscriber: u32) -> Sources {
        self.routes.sources[subscriber as usize].clone()
    }

    fn copies(&self, publisher: u32) -> u32 {
        self.routes.copies[publisher as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let fill = Fill { number: 12, topics: Some(5), client: "me", user: Some("you") };
        assert_eq!(expand("a/%i/%t/%c/%u/%%", &fill).unwrap(), "a/12/2/me/you/%");
        assert!(
            expand("%u", &Fill { user: None, ..fill }).is_err()
                && expand("%t", &Fill { topics: None, ..fill }).is_err()
        );
        for wrong in ["%", "a%x", "%%%"] {
            assert!(expand(wrong, &fill).is_err(), "accepted `{wrong}`");
        }
    }

    #[test]
    fn templates_that_make_no_topic_are_refused() {
        assert!(check_topic("a/%i").is_ok() && check_filter("+/a/#").is_ok() && check_filter("#").is_ok());
        for wrong in ["", "a/+", "#", "$SYS/a", "a/%x"] {
            assert!(check_topic(wrong).is_err(), "accepted the topic `{wrong}`");
        }
        for wrong in ["", "a+", "#/a", "a/#b", "$share/g/a", "%q"] {
            assert!(check_filter(wrong).is_err(), "accepted the filter `{wrong}`");
        }
    }

    #[test]
    fn groups_are_numbered_one_after_another() {
        let publishers = [
            PublisherGroup { count: 4, topic: "a/%t".into(), topics: 2 },
            PublisherGroup { count: 2, topic: "b/%i/%c".into(), topics: 1 },
        ];
        let subscribers = [
            SubscriberGroup { count: 3, filters: vec!["a/%i".into(), "b/%i/+".into()], topics: 1 },
            SubscriberGroup { count: 1, filters: Vec::new(), topics: 1 },
        ];
        let naming = Naming { prefix: "id".into(), short: false, first: 0, publishers: 6, user: None };
        let groups = Groups::new("x".into(), &publishers, &subscribers, None, &naming, 0).unwrap();
        assert_eq!((groups.publishers(), groups.subscribers()), (6, 4));
        assert_eq!((groups.topic(3), groups.topic(5)), ("a/1".into(), "b/1/idp5".into()));
        assert_eq!(groups.sources(1).iter().collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(groups.sources(0).iter().collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!((groups.sources(2), groups.sources(3)), (Sources::NONE, Sources::NONE));
        assert_eq!((groups.copies(0), groups.copies(5)), (1, 1));
    }
}
