//! Times as people write them: seconds since 1970, and RFC 3339 in UTC.

use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Last second that RFC 3339 can write, of the year 9999.
const LAST_S: u64 = 253_402_300_799;

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time as RFC 3339 writes it, in UTC; those after the year 9999 as its last second.
pub(crate) fn rfc3339(unix_s: u64) -> String {
    let written = i64::try_from(unix_s.min(LAST_S)).ok().and_then(|unix_s| {
        let time = OffsetDateTime::from_unix_timestamp(unix_s).ok()?;
        time.format(&Rfc3339).ok()
    });
    written.unwrap_or_else(|| unreachable!("a time of four digits of years is written"))
}

/// A time that is written as RFC 3339, with any offset, or as seconds since 1970.
///
/// # Errors
/// It is neither, as the end of a sentence that begins with the text.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || "is no time such as 2026-01-31T08:00:00Z, nor seconds since 1970".to_owned();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|unix_s| *unix_s <= LAST_S).ok_or_else(wrong);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    u64::try_from(time.unix_timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (unix_s, text) in [(0, "1970-01-01T00:00:00Z"), (1_769_846_400, "2026-01-31T08:00:00Z")] {
            assert_eq!(rfc3339(unix_s), text);
            assert_eq!(parse(text), Ok(unix_s));
        }
        assert_eq!(parse(&rfc3339(u64::MAX)), Ok(LAST_S));
        assert_eq!(parse("2026-01-31T10:00:00.5+02:00"), Ok(1_769_846_400));
        assert_eq!(parse("1769846400"), Ok(1_769_846_400));
        for wrong in ["", "tomorrow", "-5", "2026-01-31", "1969-12-31T23:59:59Z", "99999999999999999999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
