//! Clients that connect and disconnect again and again.

use super::harness::{World, connect_packet};
use crate::control::Control;
use crate::settings::{Flapping, Settings};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use ringmq_wire::Version;

fn world(enable: bool) -> World {
    let flapping = Flapping { enable, max_disconnects: 3, window: Duration::from_secs(10), ..Flapping::default() };
    World::new(2, Settings { flapping, ..Settings::default() })
}

fn found(world: &mut World) -> Vec<String> {
    let mut names = Vec::new();
    for shard in 0..2 {
        let Control::Flapping(found) = world.ask(shard, Control::TakeFlapping) else { panic!("no answer") };
        names.extend(found.into_iter().map(String::from));
    }
    names.sort();
    names
}

#[test]
fn every_way_to_leave_counts_but_the_brokers_own() {
    let mut world = world(true);
    for _ in 0..2 {
        for number in 0..4 {
            let client = world.connect(&format!("lost{number}"), Version::V5);
            world.drop_link(client);
        }
        let client = world.connect("polite", Version::V311);
        world.send(client, &[0xE0, 0]);
        let client = world.connect("wrong", Version::V5);
        world.send(client, &[0x10, 0]);
        let _ = world.connect("twice", Version::V5);
        let _ = world.connect("kicked", Version::V5);
        for shard in 0..2 {
            world.ask(shard, Control::KickClient("kicked".into()));
        }
        assert!(found(&mut world).is_empty());
    }
    for name in ["lost0", "lost2", "polite", "wrong", "kicked"] {
        let client = world.connect(name, Version::V5);
        world.drop_link(client);
    }
    // Its second connection took the place of the first, and now the third and fourth come.
    let _ = world.connect("twice", Version::V5);
    let _ = world.connect("twice", Version::V5);
    assert_eq!(found(&mut world), ["lost0", "lost2", "polite", "twice", "wrong"]);
    assert!(found(&mut world).is_empty(), "they are told once");
}

#[test]
fn a_refused_connect_does_not_count_and_nothing_does_unless_it_is_wanted() {
    let mut world = world(true);
    for _ in 0..5 {
        let client = world.open(Version::V311);
        world.send(
            client,
            &connect_packet(Version::V311, |connect| {
                connect.client_id = "";
                connect.clean_start = false;
            }),
        );
        assert!(!world.is_open(client));
    }
    assert!(found(&mut world).is_empty());
    let mut world = self::world(false);
    for _ in 0..5 {
        let client = world.connect("c", Version::V5);
        world.drop_link(client);
    }
    assert!(found(&mut world).is_empty());
}
