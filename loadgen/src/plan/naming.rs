//! What clients are called, and the will they leave.

use crate::scenario::{Fill, expand};
use ringmq_wire::QoS;
use std::fmt;

/// What clients are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Client identifiers begin with this.
    pub prefix: String,
    /// Whether nothing but a number follows, counted over publishers and subscribers.
    pub short: bool,
    /// Number of the first client.
    pub first: u32,
    /// How many publishers there are: short identifiers of subscribers follow theirs.
    pub publishers: u32,
    /// User name of every client.
    pub user: Option<String>,
}

impl Naming {
    /// Client identifier of a publisher.
    #[must_use]
    pub fn publisher(&self, publisher: u32) -> String {
        self.of_publisher(publisher).to_string()
    }

    /// The same, for writing it somewhere without making a string.
    pub(crate) fn of_publisher(&self, publisher: u32) -> impl fmt::Display {
        let kind = if self.short { "" } else { "p" };
        let number = self.first + publisher;
        fmt::from_fn(move |out| write!(out, "{}{kind}{number}", self.prefix))
    }

    /// Client identifier of a subscriber.
    #[must_use]
    pub fn subscriber(&self, subscriber: u32) -> String {
        if self.short {
            return self.publisher(self.publishers + subscriber);
        }
        format!("{}s{}", self.prefix, self.first + subscriber)
    }
}

/// The will of every client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WillPlan {
    /// Template of its topic.
    pub topic: String,
    /// Its payload.
    pub payload: String,
    /// Its QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
}

impl WillPlan {
    /// The topic of one client's will; `number` counts over all clients.
    ///
    /// # Errors
    /// A text for the user, if the template is wrong; a [`Plan`](super::Plan) has checked that.
    pub fn topic(&self, number: u32, client: &str, naming: &Naming) -> Result<String, String> {
        let fill = Fill { number: naming.first + number, topics: None, client, user: naming.user.as_deref() };
        expand(&self.topic, &fill)
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::tests::plan;

    #[test]
    fn identifiers_are_unique_and_begin_where_they_are_told_to() {
        let long = plan("p2p --pairs 3 --client-id-prefix x --start-number 7").unwrap().identity.naming;
        assert_eq!((long.publisher(2), long.subscriber(2)), ("xp9".into(), "xs9".into()));
        let short = plan("p2p --pairs 3 --short-ids --start-number 7").unwrap().identity.naming;
        assert_eq!((short.publisher(2), short.subscriber(0)), ("9".into(), "10".into()));
        let both = plan("p2p --pairs 3 --short-ids --client-id-prefix x").unwrap().identity.naming;
        assert_eq!((both.publisher(2), both.subscriber(0)), ("x2".into(), "x3".into()));
        assert!(plan("p2p --pairs 3 --start-number 4294967290").is_err());
    }

    #[test]
    fn a_will_is_told_apart_by_client() {
        let identity = plan("conn --will-topic w/%i/%c/%u --username me --start-number 5").unwrap().identity;
        let will = identity.will.unwrap();
        assert_eq!(will.topic(1, "id", &identity.naming).unwrap(), "w/6/id/me");
        assert!(plan("conn --will-topic w/%u").unwrap_err().contains("--username"));
        assert!(plan("conn --will-topic w/%t").unwrap_err().contains("%t"));
    }
}
