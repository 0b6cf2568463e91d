//! Lists of what a shard holds: every entry once, in pages of bounded work.

use super::harness::{World, options};
use crate::control::{Control, PAGE_ROWS_MAX, PAGE_STEPS_MAX, Page, Position, RetainedFacts, RetainedWalk};
use crate::retained::Cursor;
use crate::settings::Settings;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{QoS, Version};

fn client_page(world: &mut World, from: Position) -> Page<String> {
    let Control::Clients(page) = world.ask(0, Control::ListClients(from)) else { panic!("no list of clients") };
    assert!(page.rows.len() <= PAGE_ROWS_MAX);
    Page { rows: page.rows.into_iter().map(|facts| facts.client_id.into()).collect(), next: page.next }
}

#[test]
fn who_stays_is_listed_once_whoever_comes_and_goes_meanwhile() {
    let mut world = World::new(1, Settings::default());
    let clients: Vec<_> = (0..1_000).map(|number| world.connect(&format!("c{number}"), Version::V311)).collect();
    let mut rows = Vec::new();
    let mut next = Some(Position::default());
    let mut pages = 0;
    while let Some(from) = next {
        let page = client_page(&mut world, from);
        rows.extend(page.rows);
        next = page.next;
        pages += 1;
        // Two go, one of whom was listed already, and two come in their places.
        for gone in [pages, 999 - pages] {
            world.drop_link(clients[gone]);
            world.connect(&format!("new{gone}"), Version::V311);
        }
    }
    assert_eq!(pages, 4);
    let distinct: BTreeSet<&String> = rows.iter().collect();
    assert_eq!(distinct.len(), rows.len(), "nobody twice");
    let stayed = (0..1_000).filter(|number| !(1..=4).contains(number) && !(995..=998).contains(number));
    assert!(stayed.map(|number| format!("c{number}")).all(|name| distinct.contains(&name)), "nobody left out");
}

#[test]
fn empty_places_count_as_work() {
    let mut world = World::new(1, Settings::default());
    let clients: Vec<_> = (0..3_000).map(|number| world.connect(&format!("c{number}"), Version::V311)).collect();
    for client in &clients[..2_999] {
        world.drop_link(*client);
    }
    let mut next = Some(Position::default());
    let mut found = Vec::new();
    let mut asked = Vec::new();
    while let Some(from) = next {
        asked.push(from.slot);
        let page = client_page(&mut world, from);
        found.extend(page.rows);
        next = page.next;
    }
    assert_eq!(asked, [0, PAGE_STEPS_MAX, 2 * PAGE_STEPS_MAX]);
    assert_eq!(found, ["c2999"]);
}

#[test]
fn a_client_with_many_subscriptions_fills_several_pages() {
    let mut world = World::new(1, Settings::default());
    let few = world.connect("few", Version::V5);
    let many = world.connect("many", Version::V5);
    for number in 0..600 {
        let prefix = if number % 3 == 0 { "$share/g/" } else { "" };
        world.subscribe(many, &format!("{prefix}t/{number}"), options(QoS::AtMostOnce));
    }
    world.subscribe(few, "t/1", options(QoS::AtMostOnce));
    for of in [None, Some("many"), Some("few"), Some("nobody")] {
        let mut rows = Vec::new();
        let mut next = Some(Position::default());
        while let Some(from) = next {
            let request = Control::ListSubscriptions { of: of.map(Into::into), from };
            let Control::Subscriptions(page) = world.ask(0, request) else { panic!("no list of subscriptions") };
            assert!(page.rows.len() <= PAGE_ROWS_MAX);
            rows.extend(page.rows.into_iter().map(|facts| (facts.client_id, facts.filter)));
            next = page.next;
        }
        let expected = match of {
            None => 601,
            Some("many") => 600,
            Some("few") => 1,
            _ => 0,
        };
        assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), expected);
        assert_eq!(rows.len(), expected, "nothing twice");
    }
    let mut filters = Vec::new();
    let mut next = Some(Position::default());
    while let Some(from) = next {
        let Control::Filters(page) = world.ask(0, Control::ListFilters(from)) else { panic!("no list of filters") };
        filters.extend(page.rows.into_iter().map(|facts| (facts.filter, facts.subscribers)));
        next = page.next;
    }
    assert_eq!(filters.len(), 600);
    assert_eq!(filters.iter().find(|(filter, _)| filter == "t/1"), Some(&("t/1".into(), 2)));
    assert_eq!(filters.iter().filter(|(filter, _)| filter.starts_with("$share/g/t/")).count(), 200);
}

#[test]
fn pages_end_where_their_texts_become_long() {
    let mut world = World::new(1, Settings::default());
    let client = world.connect("c", Version::V5);
    for number in 0..20 {
        world.subscribe(client, &format!("{}{number}", "x".repeat(60_000)), options(QoS::AtMostOnce));
    }
    let Control::Filters(page) = world.ask(0, Control::ListFilters(Position::default())) else { panic!("no list") };
    assert_eq!(page.rows.len(), 5, "the first that ends beyond 256 KiB");
    assert_eq!(page.next, Some(Position { slot: 5, within: 0 }));
}

fn retained_walk(filter: Option<&str>, from: Option<Cursor>) -> RetainedWalk {
    RetainedWalk { filter: filter.map(Into::into), from }
}

#[test]
fn retained_messages_are_listed_and_removed_in_pages() {
    let mut world = World::new(1, Settings::default());
    let client = world.connect("c", Version::V5);
    for number in 0..400 {
        world.publish_as(client, &format!("a/{number}"), "payload", QoS::AtLeastOnce, 1, true);
        world.publish_as(client, &format!("$b/{number}"), "p", QoS::AtMostOnce, 0, true);
    }
    let mut listed = |filter: Option<&str>| {
        let mut rows = Vec::new();
        let mut from = None;
        loop {
            let Control::Retained(page) = world.ask(0, Control::ListRetained(retained_walk(filter, from))) else {
                panic!("no list of retained messages")
            };
            assert!(page.rows.len() <= PAGE_ROWS_MAX);
            rows.extend(page.rows);
            from = page.next;
            if from.is_none() {
                return rows;
            }
        }
    };
    assert_eq!(listed(None).into_iter().map(|facts| facts.topic).collect::<BTreeSet<_>>().len(), 800);
    assert_eq!(listed(Some("#")).len(), 400, "topics that begin with $ are not meant");
    assert_eq!(listed(Some("a/7")), [RetainedFacts { topic: "a/7".into(), qos: 1, payload_bytes: 7 }]);
    let mut from = None;
    let mut parts = Vec::new();
    loop {
        let Control::CleanedRetained { removed, next } =
            world.ask(0, Control::CleanRetained(retained_walk(Some("a/+"), from)))
        else {
            panic!("nothing removed")
        };
        parts.push(removed);
        from = next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(parts, [256, 144]);
    let Control::RetainedCount(left) = world.ask(0, Control::CountRetained) else { panic!("no number") };
    assert_eq!(left, 400);
}
