//! Requests from the process around the shard.

use super::Shard;
use super::leave::End;
use crate::control::Control;
use crate::machine::Effects;
use core::any::Any;

impl Shard {
    /// Answers a request in its place. What is none, or is an answer, stays as it is.
    pub(super) fn control(&mut self, message: &mut dyn Any, fx: &mut Effects) {
        let Some(request) = message.downcast_mut::<Control>() else { return };
        *request = match core::mem::replace(request, Control::Configured) {
            Control::Configure { settings, rewriter } => {
                self.configure(*settings);
                self.declare_queues();
                self.rewriter = rewriter;
                Control::Configured
            }
            Control::ListClients(from) => Control::Clients(self.list_clients(from, fx)),
            Control::ShowClient(client_id) => Control::Client(self.show_client(&client_id, fx).map(Into::into)),
            Control::KickClient(client_id) => Control::Kicked(self.kick(&client_id, fx)),
            Control::Ban { list, end } => {
                self.take_ban_list(list, &end, fx);
                Control::BanTaken
            }
            Control::TakeFlapping => Control::Flapping(self.take_flapping()),
            Control::CountTopics(topics) => {
                self.count_topics(topics);
                Control::TopicsTaken
            }
            Control::ListTopicCounts => Control::TopicCounts(self.topic_counts()),
            Control::ListSlowSubs => Control::SlowSubs(self.list_slow_subs()),
            Control::ClearSlowSubs => {
                self.clear_slow_subs();
                Control::SlowSubsCleared
            }
            Control::ListCongested => Control::Congested(self.list_congested(fx)),
            Control::ListSubscriptions { of, from } => {
                Control::Subscriptions(self.list_subscriptions(of.as_deref(), from))
            }
            Control::Subscribe { client_id, filter, qos } => {
                Control::Subscribed(self.subscribe_for(&client_id, &filter, qos, fx))
            }
            Control::Unsubscribe { client_id, filter } => {
                Control::Unsubscribed(self.unsubscribe_for(&client_id, &filter, fx))
            }
            Control::FindExclusive(topic) => Control::FoundExclusive(self.exclusive_owner(&topic)),
            Control::EndExclusive { owner, topic } => Control::EndedExclusive(self.end_exclusive(owner, &topic, fx)),
            Control::ListFilters(from) => Control::Filters(self.list_filters(from)),
            Control::CountRetained => Control::RetainedCount(self.retained.len()),
            Control::ListRetained(walk) => Control::Retained(self.list_retained(walk)),
            Control::CleanRetained(walk) => {
                let (removed, next) = self.clean_retained(walk);
                Control::CleanedRetained { removed, next }
            }
            Control::Trace(rules) => {
                self.set_traces(rules);
                Control::TraceSet
            }
            Control::MarkTraced(from) => Control::MarkedTraced(self.mark_traced(from)),
            Control::ListQueues => Control::Queues(self.list_queues()),
            Control::ShowQueue(name) => Control::Queues(self.show_queue(&name)),
            Control::Publish(messages) => {
                self.publish_own(&messages, fx);
                Control::Published
            }
            answer => answer,
        };
    }

    /// Ends a session at home here, and its connection; false if there is none.
    pub(super) fn kick(&mut self, client_id: &str, fx: &mut Effects) -> bool {
        let Some(session) = self.find_client(client_id) else { return false };
        self.hub.counters.client_kicked += 1;
        let held = self.hub.sessions.get_mut(session).expect("session by its client");
        if held.conn.is_some() {
            // The session goes with the connection.
            held.expiry_s = 0;
            self.end(session, End::Kicked, fx);
        } else {
            self.terminate(session, fx);
        }
        true
    }
}
