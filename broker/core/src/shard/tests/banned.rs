//! Banned clients: refused when they connect, ended when they are connected.

use super::harness::{World, connect_packet};
use crate::banned::{Applicant, BanList};
use crate::control::Control;
use crate::settings::Settings;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use ringmq_wire::Version;

/// Bans one client identifier, one user name and one address until a time.
#[derive(Debug, Clone)]
struct Listed {
    client_id: &'static str,
    username: &'static str,
    peer: IpAddr,
    until_s: u64,
}

impl BanList for Listed {
    fn bans(&self, applicant: &Applicant<'_>, unix_s: u64) -> bool {
        let listed = applicant.client_id == self.client_id
            || applicant.username == Some(self.username)
            || applicant.peer == self.peer;
        listed && unix_s < self.until_s
    }
}

const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn ban(world: &mut World, list: &Listed, end: &[&str]) {
    for shard in 0..2 {
        let end = end.iter().map(|client_id| Box::from(*client_id)).collect();
        let answer = world.ask(shard, Control::Ban { list: Some(Box::new(list.clone())), end });
        assert!(matches!(answer, Control::BanTaken));
    }
}

/// What a client gets that connects with these names.
fn answer(world: &mut World, version: Version, client_id: &str, username: Option<&str>) -> Vec<String> {
    let client = world.open(version);
    let packet = connect_packet(version, |connect| {
        connect.client_id = client_id.to_owned().leak();
        connect.username = username.map(|username| &*username.to_owned().leak());
    });
    world.send(client, &packet);
    let packets = world.packets(client);
    if packets[0] != "CONNACK 00 present=false" {
        assert!(!world.is_open(client), "a refused connection is closed");
    }
    packets
}

#[test]
fn who_is_listed_is_refused_on_every_shard_until_the_time_is_over() {
    let mut world = World::new(2, Settings::default());
    let mut list = Listed { client_id: "bad", username: "mallory", peer: NOBODY, until_s: 10 };
    ban(&mut world, &list, &[]);
    for number in 0..8 {
        let name = alloc::format!("c{number}");
        assert_eq!(answer(&mut world, Version::V5, &name, None), ["CONNACK 00 present=false"]);
        assert_eq!(answer(&mut world, Version::V5, &name, Some("mallory")), ["CONNACK 8a present=false"]);
    }
    assert_eq!(answer(&mut world, Version::V5, "bad", None), ["CONNACK 8a present=false"]);
    assert_eq!(answer(&mut world, Version::V311, "bad", None), ["CONNACK 87 present=false"], "return code 5");
    assert_eq!(answer(&mut world, Version::V5, "", None), ["CONNACK 00 present=false"]);
    world.pass(10_000);
    assert_eq!(answer(&mut world, Version::V5, "bad", None), ["CONNACK 00 present=false"]);
    list = Listed { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), until_s: u64::MAX, ..list };
    ban(&mut world, &list, &[]);
    assert_eq!(answer(&mut world, Version::V5, "", None), ["CONNACK 8a present=false"]);
    let banned = world.shard(0).counters().client_banned + world.shard(1).counters().client_banned;
    assert_eq!(banned, 11);
    for shard in 0..2 {
        assert!(matches!(world.ask(shard, Control::Ban { list: None, end: Vec::new() }), Control::BanTaken));
    }
    assert_eq!(answer(&mut world, Version::V5, "bad", None), ["CONNACK 00 present=false"]);
}

#[test]
fn the_session_of_a_banned_client_ends_and_others_stay() {
    let mut world = World::new(2, Settings::default());
    let bad = world.connect_as(Version::V5, |connect| {
        connect.client_id = "bad";
        connect.properties.session_expiry = Some(100);
    });
    let good = world.connect("good", Version::V5);
    ban(&mut world, &Listed { client_id: "bad", username: "", peer: NOBODY, until_s: u64::MAX }, &["bad", "nobody"]);
    // Not 0x8A, which a DISCONNECT may not carry [MQTT-3.14.2-1].
    assert_eq!(world.packets(bad), ["DISCONNECT 98"]);
    assert!(!world.is_open(bad) && world.is_open(good));
    assert_eq!(world.shard(0).counters().sessions + world.shard(1).counters().sessions, 1);
    assert_eq!(answer(&mut world, Version::V5, "bad", None), ["CONNACK 8a present=false"]);
}

#[test]
fn a_user_name_is_shown_until_another_connection_brings_another() {
    let mut world = World::new(1, Settings::default());
    for username in [Some("alice"), None, Some("bob"), Some("")] {
        let client = world.connect_as(Version::V5, |connect| {
            connect.client_id = "c";
            connect.clean_start = false;
            connect.username = username;
            connect.properties.session_expiry = Some(100);
        });
        for connected in [true, false] {
            let Control::Client(Some(facts)) = world.ask(0, Control::ShowClient("c".into())) else { panic!("no c") };
            assert_eq!((facts.username.as_deref(), &*facts.client_id), (username, "c"));
            assert_eq!(facts.peer.is_some(), connected);
            if connected {
                world.drop_link(client);
            }
        }
    }
    assert_eq!(world.shard(0).counters().session_created, 1);
}
