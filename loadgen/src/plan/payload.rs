//! From options and keys to payloads.
//!
//! Absent: what payloads are made of, see [`payload`](crate::payload).

use super::{Naming, Plan};
use crate::cli::PayloadArgs;
use crate::payload::{Body, Headers, Kind, PAYLOAD_BYTES_MAX, Payload, Sizes, Template};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Payload when nothing else is asked for, bytes.
const SIZE_DEFAULT: usize = 64;

/// Decides what messages carry.
///
/// # Errors
/// A text for the user.
pub(super) fn payload(args: &PayloadArgs, naming: &Naming) -> Result<Payload, String> {
    let body = match (&args.payload_file, &args.payload_template) {
        (Some(_), _) if args.size.is_some() => return Err("a payload file has its own size: leave out the size".into()),
        (Some(path), _) => Body::File(read(path)?.into()),
        (None, Some(text)) if args.size.is_some() && !text.contains("%RANDOM%") => {
            return Err("a payload template without %RANDOM% has its own size: leave out the size".into());
        }
        (None, Some(text)) => {
            let template = Template::new(text, naming, args.size.as_ref());
            Body::Template(template.map_err(|problem| format!("--payload-template: {problem}"))?)
        }
        (None, None) => Body::Pattern(args.size.clone().unwrap_or(Sizes::One(SIZE_DEFAULT))),
    };
    let unless_given = if matches!(body, Body::Pattern(_)) { Headers::stamp() } else { Headers::none() };
    let payload = Payload { headers: args.payload_hdrs.clone().unwrap_or(unless_given), body };
    payload.check().map_err(|problem| format!("payload: {problem}"))?;
    Ok(payload)
}

/// Reads a file whole, if it is no larger than a payload may be.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PAYLOAD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(problem) => Err(format!("payload file {}: {problem}", path.display())),
        Ok(_) => Ok(bytes),
    }
}

impl Plan {
    /// Whether this run can check messages with such payloads.
    pub(super) fn check_payload(&self) -> Result<(), String> {
        let Some(traffic) = &self.traffic else { return Ok(()) };
        let (payload, publishers) = (&traffic.payload, self.scenario.publishers());
        if let Some(most) = payload.publishers_max().filter(|most| publishers > *most) {
            return Err(format!(
                "more than {most} publishers need larger payloads: the stamp has no room for the number"
            ));
        }
        if payload.headers.has(Kind::Stamp) || self.scenario.subscribers() == 0 {
            return Ok(());
        }
        let advice = "add --payload-hdrs stamp";
        if self.scenario.share().is_some() && !payload.is_numbered() {
            return Err(format!(
                "members of a shared subscription get messages in turns, and without numbers nobody can tell whether \
                 all came: {advice}, or cnt64"
            ));
        }
        if !self.disturbances.is_empty() || self.retained > 0 {
            return Err(format!(
                "disturbances and stored retained messages are accounted for by the stamp in the messages: {advice}"
            ));
        }
        let mut topics = HashSet::new();
        match (0..publishers).map(|publisher| self.topic(publisher)).find(|topic| !topics.insert(topic.clone())) {
            Some(topic) => Err(format!(
                "several publishers share the topic {topic}, and such payloads do not say whose they are: {advice}"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::payload::Kind;
    use crate::plan::tests::plan;

    #[test]
    fn headers_are_what_the_body_needs_unless_named() {
        let names = |line: &str| plan(line).unwrap().traffic.unwrap().payload.headers.to_string();
        assert_eq!(names("p2p"), "stamp");
        assert_eq!(names("p2p --payload-template x"), "none");
        assert_eq!(names("p2p --payload-template x --payload-hdrs ts,stamp"), "ts,stamp");
        let payload = plan("p2p --size 16..1024 --payload-hdrs cnt64,ts").unwrap().traffic.unwrap().payload;
        assert!(!payload.headers.has(Kind::Stamp) && payload.is_numbered() && payload.is_timed());
        assert_eq!((payload.largest(), payload.sizes().unwrap()), (1024, "16..1024".into()));
    }

    #[test]
    fn what_could_not_be_checked_is_refused() {
        for (line, word) in [
            ("p2p --size 15", "must be 16"),
            ("p2p --size 15..100", "must be 16"),
            ("p2p --size 20 --payload-hdrs stamp,ts", "must be 24"),
            ("p2p --size 7 --payload-hdrs ts", "must be 8"),
            ("p2p --payload-template %RANDOM%", "--size"),
            ("p2p --payload-template %t", "after %"),
            ("p2p --payload-template x --size 5", "its own size"),
            ("p2p --payload-file /no/such/file", "/no/such/file"),
            ("fanout --publishers 2 --payload-template x", "share the topic"),
            ("fanin --share g --payload-template x", "cnt64"),
        ] {
            let problem = plan(line).unwrap_err();
            assert!(problem.contains(word), "`{line}`: {problem}");
        }
        for line in [
            "p2p --size 1 --payload-hdrs none",
            "fanout --publishers 2 --payload-template x --payload-hdrs stamp",
            "fanin --share g --payload-template x --payload-hdrs cnt64",
            "pub --topic a --publishers 5 --rate 1 --payload-template x",
        ] {
            assert!(plan(line).is_ok(), "{line}: {:?}", plan(line).err());
        }
    }
}
