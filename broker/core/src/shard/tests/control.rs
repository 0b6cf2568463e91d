//! Settings that change under live clients.

use crate::control::Control;
use crate::machine::{Effects, Input, Machine, ShardId, Time};
use crate::settings::Settings;
use crate::shard::{Shard, ShardConfig};
use alloc::boxed::Box;
use alloc::vec::Vec;

fn shard() -> Shard {
    let settings = Settings::default();
    Shard::new(ShardConfig {
        id: ShardId(0),
        shards: 1,
        settings,
        seed: 7,
        interest: None,
        auth_methods: Vec::new(),
        counters: None,
        rewriter: None,
        unix_offset_ms: 0,
    })
}

#[test]
fn new_settings_are_taken_at_once_and_confirmed() {
    let (mut shard, mut fx) = (shard(), Effects::new(1));
    let settings = Box::new(Settings { max_inflight: 3, ..Settings::default() });
    let mut request = Control::Configure { settings, rewriter: None };
    shard.handle(Time(1), Input::Control(&mut request), &mut fx);
    assert!(matches!(request, Control::Configured));
    assert_eq!(shard.hub.settings.max_inflight, 3);
    assert!(fx.commands.is_empty(), "no connection is touched");
}

#[test]
fn what_is_no_request_stays_as_it_is() {
    let (mut shard, mut fx) = (shard(), Effects::new(1));
    let mut other = 5_u32;
    shard.handle(Time(1), Input::Control(&mut other), &mut fx);
    assert_eq!(other, 5);
    let mut answer = Control::Configured;
    shard.handle(Time(1), Input::Control(&mut answer), &mut fx);
    assert!(matches!(answer, Control::Configured));
    assert_eq!(*shard.hub.settings, Settings::default());
}
