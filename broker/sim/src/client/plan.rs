//! What a client does next, by chance.

use super::write::{Draft, Wish};
use super::{Client, Ctx, Role, Stage};
use crate::oracle::{FilterMark, QUEUE_GROUP};
use crate::shape::{Kind, QUEUE, QUEUE_FILTER};
use ringmq_wire::Version;

/// Topics that clients publish to.
pub(crate) const TOPICS: [&str; 12] =
    ["t/0", "t/1", "t/2", "t/0/x", "t/1/x", "t", "u/0", "u", "/", "$d/0", "t/", "\u{fc}/\u{e9}"];

/// Topics of shared subscriptions. No other filter matches them.
pub(crate) const SHARED_TOPICS: [&str; 3] = ["s/0", "s/1", "s/0/x"];

/// Topics whose messages the message queue takes.
const QUEUE_TOPICS: [&str; 3] = ["q/0", "q/1", "q"];

/// Filters of ordinary subscriptions.
const FILTERS: [&str; 16] =
    ["t/0", "t/1", "t/2", "t/+", "t/#", "t/+/x", "+/0", "#", "+/+", "$d/#", "u", "u/#", "/", "+", "t/0/x", "\u{fc}/+"];

/// Filters that workers share, by group.
const SHARED_FILTERS: [(&str, &str); 4] = [("g0", "s/+"), ("g1", "s/#"), ("g0", "s/0"), ("g2", "s/0/x")];

/// A Session Expiry Interval that means never.
const NEVER_S: u32 = u32::MAX;

const MS: u64 = 1_000_000;

/// Unacknowledged messages that a client allows itself.
const OUTGOING_MAX: usize = 10;

impl Client {
    /// Does the next thing.
    pub(crate) fn act(&mut self, ctx: &mut Ctx<'_>) {
        match self.stage {
            Stage::Offline => self.act_offline(ctx),
            Stage::Connecting => {
                if ctx.dice.chance(ctx.shape.cut_permille) && self.role != Role::Observer {
                    ctx.cut = true;
                } else if self.anonymous && ctx.dice.chance(300) {
                    self.say_something(ctx);
                }
            }
            Stage::Online => self.act_online(ctx),
        }
    }

    fn act_offline(&mut self, ctx: &mut Ctx<'_>) {
        if !self.persistent && ctx.dice.chance(100) {
            self.version = *ctx.dice.pick(&[Version::V31, Version::V311, Version::V5]);
        }
        let wish = self.wish(ctx);
        self.write_connect(&wish, ctx);
        // Do not wait for the answer [section 3.1.4].
        if self.anonymous {
            while ctx.dice.chance(500) {
                self.say_something(ctx);
            }
        }
    }

    fn wish(&mut self, ctx: &mut Ctx<'_>) -> Wish {
        if self.role == Role::Observer {
            return Wish { clean_start: true, ..Wish::default() };
        }
        let v5 = self.version.is_v5();
        let mortal = ctx.shape.kind == Kind::Mortal;
        let narrow = ctx.shape.kind == Kind::Narrow;
        let worker = self.role == Role::Worker;
        let anonymous = !self.persistent && self.version != Version::V31 && ctx.dice.chance(200);
        let clean_start = anonymous || if self.persistent { ctx.dice.chance(50) } else { ctx.dice.chance(800) };
        let expiry_s = match (v5 && !anonymous, self.persistent) {
            (false, _) | (true, false) => 0,
            (true, true) if mortal => *ctx.dice.pick(&[0, 1, 2, 5, NEVER_S]),
            (true, true) => *ctx.dice.pick(&[300, NEVER_S]),
        };
        let receives: &[Option<u16>] = if narrow { &[Some(1), Some(2), Some(5)] } else { &[None, None, Some(3)] };
        let aliases: &[u16] = if narrow { &[0, 1, 5] } else { &[0, 0, 3] };
        Wish {
            clean_start,
            anonymous,
            expiry_s,
            keep_alive_s: if mortal { *ctx.dice.pick(&[0, 2, 3]) } else { *ctx.dice.pick(&[0, 120]) },
            receive_maximum: ctx.dice.pick(receives).filter(|_| v5),
            max_packet: (narrow && v5 && !worker && ctx.dice.chance(500))
                .then(|| u32::try_from(ctx.dice.within(60, 250)).expect("small")),
            alias_maximum: if v5 { *ctx.dice.pick(aliases) } else { 0 },
            will: (mortal && ctx.dice.chance(600)).then(|| {
                let qos = u8::try_from(ctx.dice.below(3)).expect("small");
                let delay_s = u32::try_from(ctx.dice.below(4)).expect("small");
                (qos, ctx.dice.chance(200), delay_s)
            }),
        }
    }

    fn act_online(&mut self, ctx: &mut Ctx<'_>) {
        if self.role == Role::Observer {
            if ctx.oracle.sessions.iter().all(|held| held.client != self.index || held.subs.is_empty())
                && self.asked.is_empty()
            {
                self.subscribe_plainly("w/+", ctx);
            }
            return;
        }
        self.send_acks(3, ctx);
        let shape = ctx.shape;
        if ctx.dice.chance(shape.cut_permille) {
            match ctx.dice.below(5) {
                0 => self.leave(ctx),
                // A new connection while the old one is still there.
                1 if !self.anonymous => self.act_offline(ctx),
                _ => ctx.cut = true,
            }
            return;
        }
        if ctx.dice.chance(shape.stall_permille) {
            ctx.stall_ns = ctx.dice.within(1, 300) * MS;
        }
        if shape.kind == Kind::Mortal && ctx.dice.chance(30) {
            ctx.rest_ns = ctx.dice.within(1_000, 8_000) * MS;
            return;
        }
        while {
            self.say_something(ctx);
            ctx.dice.chance(300)
        } {}
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        let v5 = self.version.is_v5();
        let with_will = v5 && ctx.dice.chance(300);
        // Only what was to outlive its connection can be given another time.
        let link = self.link.expect("online");
        let session = ctx.oracle.links.get(&link).and_then(|model| model.session);
        let lives = session.is_some_and(|session| ctx.oracle.sessions[session].expiry_s > 0);
        let expiry_s = (v5 && lives && ctx.dice.chance(200)).then(|| *ctx.dice.pick(&[0, 1, 3, NEVER_S]));
        self.goodbye(with_will, expiry_s, ctx);
    }

    fn say_something(&mut self, ctx: &mut Ctx<'_>) {
        match ctx.dice.below(100) {
            0..70 => {
                if let Some(draft) = self.draft(ctx) {
                    self.publish(draft, ctx);
                }
            }
            70..90 => {
                let (id, filters) = self.filters(ctx);
                self.subscribe(id, filters, ctx);
            }
            90..96 => {
                let filters = if self.role == Role::Consumer {
                    vec![format!("$q/{QUEUE}")]
                } else if self.role == Role::Worker {
                    let (group, filter) = ctx.dice.pick(&SHARED_FILTERS);
                    vec![format!("$share/{group}/{filter}")]
                } else {
                    vec![(*ctx.dice.pick(&FILTERS)).to_owned()]
                };
                self.unsubscribe(filters, ctx);
            }
            _ => self.ping(ctx),
        }
    }

    fn draft(&mut self, ctx: &mut Ctx<'_>) -> Option<Draft> {
        let shape = ctx.shape;
        let mut qos = u8::try_from(ctx.dice.below(3)).expect("small");
        if self.stage == Stage::Connecting {
            qos = 0;
        }
        if qos > 0 && self.outgoing.len() >= OUTGOING_MAX.min(self.server_receive_maximum) {
            return None;
        }
        let shared = shape.kind == Kind::Shared && ctx.dice.chance(700);
        let queued = shape.kind == Kind::Queued && ctx.dice.chance(700);
        let topic = match (shared, queued) {
            (true, _) => *ctx.dice.pick(&SHARED_TOPICS),
            (_, true) => *ctx.dice.pick(&QUEUE_TOPICS),
            _ => *ctx.dice.pick(&TOPICS),
        };
        let retain = !shared && !queued && ctx.dice.chance(if shape.kind == Kind::Retained { 500 } else { 80 });
        let expiry_s = ctx.dice.chance(100).then(|| *ctx.dice.pick(&[1, 2, 100]));
        let len = if ctx.dice.chance(700) { ctx.dice.within(8, 40) } else { ctx.dice.within(8, shape.payload_max) };
        let len = if retain && ctx.dice.chance(150) { 0 } else { usize::try_from(len).expect("small") };
        Some(Draft { topic: topic.to_owned(), qos, retain, expiry_s, len })
    }

    fn filters(&mut self, ctx: &mut Ctx<'_>) -> (u32, Vec<FilterMark>) {
        if self.role == Role::Consumer {
            let consumption = FilterMark {
                filter: QUEUE_FILTER.to_owned(),
                group: Some(QUEUE_GROUP.to_owned()),
                qos: 1,
                no_local: false,
                retain_as_published: false,
                retain_handling: 0,
            };
            return (0, vec![consumption]);
        }
        let id = if ctx.dice.chance(400) { u32::try_from(ctx.dice.within(1, 300)).expect("small") } else { 0 };
        let worker = self.role == Role::Worker;
        let count = ctx.dice.within(1, 3);
        let filters = (0..count)
            .map(|_| {
                let (group, filter) = if worker {
                    let (group, filter) = ctx.dice.pick(&SHARED_FILTERS);
                    (Some((*group).to_owned()), *filter)
                } else {
                    (None, *ctx.dice.pick(&FILTERS))
                };
                FilterMark {
                    filter: filter.to_owned(),
                    group,
                    qos: if worker { *ctx.dice.pick(&[1, 2]) } else { u8::try_from(ctx.dice.below(3)).expect("small") },
                    no_local: !worker && ctx.dice.chance(150),
                    retain_as_published: ctx.dice.chance(300),
                    retain_handling: if self.is_v311_or_less() {
                        0
                    } else {
                        u8::try_from(ctx.dice.below(3)).expect("small")
                    },
                }
            })
            .collect();
        (id, filters)
    }

    /// In the end: finishes what is begun. `connect` lets a client that is away come back to its session.
    pub(crate) fn drain(&mut self, ctx: &mut Ctx<'_>) {
        match self.stage {
            Stage::Offline => self.resume(ctx),
            Stage::Connecting => {}
            Stage::Online => {
                self.send_acks(usize::MAX, ctx);
                self.ping(ctx);
            }
        }
    }
}
