//! The checks against known faults and a naive model.

use super::*;
use std::collections::HashSet;

fn verify(checks: &Checks, sent: u64) -> Tally {
    let (mut all, mut afar) = (Verification::default(), Verification::default());
    all.add(checks.clone(), std::iter::once((0, 0)), &[sent]);
    let digest = serde_json::to_string(&checks.digest(std::iter::once((0, 0)))).unwrap();
    afar.add_digest(&serde_json::from_str(&digest).unwrap(), &[sent]).unwrap();
    let found = all.finish(&[sent]);
    assert_eq!(afar.finish(&[sent]), found, "another process finds the same");
    found
}

#[test]
fn a_perfect_stream_is_clean() {
    let mut checks = Checks::plain(1);
    for sequence in 0..1000 {
        assert_eq!(checks.record(0, 0, sequence), Verdict::New { skipped: 0 });
    }
    assert_eq!(verify(&checks, 1000), Tally { delivered: 1000, ..Tally::default() });
}

#[test]
fn a_lost_message_is_caught_in_the_middle_and_at_the_end() {
    let mut checks = Checks::plain(1);
    checks.record(0, 0, 0);
    assert_eq!(checks.record(0, 0, 3), Verdict::New { skipped: 2 });
    assert_eq!(verify(&checks, 6), Tally { delivered: 2, lost: 4, ..Tally::default() });
}

#[test]
fn a_duplicate_is_caught_next_to_its_original_and_long_after() {
    let mut checks = Checks::plain(1);
    for sequence in [0, 0, 1, 2, 0] {
        checks.record(0, 0, sequence);
    }
    assert_eq!(verify(&checks, 3), Tally { delivered: 3, duplicates: 2, ..Tally::default() });
}

#[test]
fn a_swap_is_reordering_and_neither_loss_nor_duplicate() {
    let mut checks = Checks::plain(1);
    let verdicts: Vec<_> = [1, 0, 2].map(|sequence| checks.record(0, 0, sequence)).into();
    assert_eq!(verdicts, [Verdict::New { skipped: 1 }, Verdict::Late, Verdict::New { skipped: 0 }]);
    assert_eq!(verify(&checks, 3), Tally { delivered: 3, reordered: 1, ..Tally::default() });
}

#[test]
fn an_impossible_number_is_not_believed() {
    let mut plain = Checks::plain(1);
    let mut shared = Checks::shared(1, 1);
    assert_eq!(plain.record(0, 0, u64::MAX), Verdict::Absurd);
    assert_eq!(shared.record(0, 0, u64::MAX - 1), Verdict::Absurd);
    assert_eq!(plain.tally().damaged + shared.tally().damaged, 2);
}

#[test]
fn gaps_beyond_the_bound_are_given_up_for_lost() {
    let mut checks = Checks::plain(1);
    for k in 0..GAPS_MAX as u64 + 10 {
        checks.record(0, 0, 2 * k + 1);
    }
    let sent = 2 * (GAPS_MAX as u64 + 10);
    assert_eq!(verify(&checks, sent).lost, sent / 2);
}

#[test]
fn members_of_a_group_on_two_threads_share_one_account() {
    let (mut one, mut two) = (Checks::shared(2, 1), Checks::shared(1, 1));
    one.record(0, 0, 0);
    one.record(1, 0, 1);
    two.record(0, 0, 3);
    assert_eq!(two.record(0, 0, 2), Verdict::Late);
    two.record(0, 0, 1);
    let (mut all, mut afar) = (Verification::default(), Verification::default());
    for part in [one, two] {
        afar.add_digest(&part.digest(std::iter::empty()), &[6]).unwrap();
        all.add(part, std::iter::empty(), &[6]);
    }
    let expected = Tally { delivered: 4, lost: 2, duplicates: 1, reordered: 2, ..Tally::default() };
    assert_eq!((all.finish(&[6]), afar.finish(&[6])), (expected, expected));
}

#[test]
fn streams_that_end_alike_are_one_line_of_a_digest() {
    let mut checks = Checks::plain(4);
    for (stream, count) in [(0, 5), (1, 5), (2, 3), (3, 5)] {
        for sequence in 0..count {
            checks.record(stream, 0, sequence);
        }
    }
    let digest = checks.digest((0..4).map(|stream| (stream, u32::from(stream == 3))));
    assert_eq!(digest.ends.len(), 3);
    let mut all = Verification::default();
    all.add_digest(&digest, &[6, 6]).unwrap();
    assert_eq!(all.finish(&[6, 6]).lost, 1 + 1 + 3 + 1);
    assert!(Verification::default().add_digest(&digest, &[6]).is_err(), "publisher 1 is not there");
}

#[test]
fn what_did_not_have_to_come_is_counted_apart_and_exactly() {
    let mut checks = Checks::plain(3);
    for stream in 0..3 {
        checks.record(stream, 0, 0);
        // Message 1 is lost before anything is excused.
        checks.record(stream, 0, 2);
    }
    checks.excuse(0, 5);
    assert_eq!(checks.record(0, 0, 4), Verdict::New { skipped: 1 }, "came although it did not have to");
    checks.record(0, 0, 7);
    checks.excuse(1, 5);
    checks.tolerate(2..3);
    // Stream 0 misses 3 and loses 1, 5 and 6; stream 1 misses 3 and 4, and loses the rest; stream 2 may lose all.
    let (mut all, mut afar) = (Verification::default(), Verification::default());
    let digest = serde_json::to_string(&checks.digest((0..3).map(|stream| (stream, 0)))).unwrap();
    afar.add_digest(&serde_json::from_str(&digest).unwrap(), &[8]).unwrap();
    all.add(checks, (0..3).map(|stream| (stream, 0)), &[8]);
    let expected = Tally { delivered: 8, lost: 3 + 4, missed: 1 + 2, dropped: 1 + 5, ..Tally::default() };
    assert_eq!((all.finish(&[8]), afar.finish(&[8])), (expected, expected));
}

#[test]
fn an_excused_message_that_comes_late_is_out_of_order() {
    let mut checks = Checks::plain(1);
    checks.excuse(0, 3);
    checks.record(0, 0, 4);
    assert_eq!(checks.record(0, 0, 1), Verdict::Late);
    let expected = Tally { delivered: 2, lost: 1, missed: 2, reordered: 1, ..Tally::default() };
    assert_eq!(verify(&checks, 5), expected);
}

/// Sets of everything received, against the gap list and the bitmap.
#[test]
fn random_streams_agree_with_a_naive_model() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    for _ in 0..2000 {
        let sent = 1 + random(60);
        let (mut plain, mut shared) = (Checks::plain(1), Checks::shared(1, 1));
        let (mut seen, mut highest) = (HashSet::new(), None);
        let mut expected = Tally::default();
        for _ in 0..random(90) {
            let sequence = random(sent);
            plain.record(0, 0, sequence);
            shared.record(0, 0, sequence);
            if !seen.insert(sequence) {
                expected.duplicates += 1;
                continue;
            }
            expected.delivered += 1;
            expected.reordered += u64::from(highest.is_some_and(|highest| sequence < highest));
            highest = highest.max(Some(sequence));
        }
        expected.lost = sent - seen.len() as u64;
        assert_eq!(verify(&plain, sent), expected);
        assert_eq!(verify(&shared, sent), expected);
    }
}
