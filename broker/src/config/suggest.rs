//! "Did you mean": the known name nearest to a mistyped one.

/// Longest name that is compared, characters.
const NAME_CHARS_MAX: usize = 100;

/// The candidate nearest to `name`, if any is near enough to be worth naming.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    if length > NAME_CHARS_MAX {
        return None;
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let near = candidates.filter_map(|candidate| {
        // The right key below the wrong group is a likely mistake at any distance.
        let same_end = candidate.rsplit('.').next() == Some(last);
        let distance = distance(name, candidate);
        (same_end || distance <= 1 + length / 6).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (i, l) in left.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != *r)).min(last[j + 1] + 1).min(row[j] + 1);
            if j > 0 && previous == Some(*r) && right[j - 1] == l {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(l);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("inflight", "infilght"), 1);
    }

    #[test]
    fn a_typo_and_a_wrong_group_are_recognised() {
        let keys = ["mqtt.max_inflight", "mqtt.max_packet_size", "ringmq.shards"];
        let nearest = |name| nearest(name, keys.into_iter());
        assert_eq!(nearest("mqtt.max_inflght"), Some("mqtt.max_inflight"));
        assert_eq!(nearest("max_inflight"), Some("mqtt.max_inflight"));
        assert_eq!(nearest("broker.shards"), Some("ringmq.shards"));
        assert_eq!(nearest("something.else"), None);
        assert_eq!(nearest(&"x".repeat(10_000)), None);
    }
}
