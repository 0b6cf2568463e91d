//! Times for people and for other programs: RFC 3339.
//!
//! The `time` crate knows calendars and the system's time zone; only the digits are put together here, because there are
//! always as many as were asked for.

use std::time::SystemTime;
use time::{OffsetDateTime, UtcOffset};

/// Digits of a fraction of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digits {
    /// Milliseconds.
    Three,
    /// Microseconds.
    Six,
}

/// A time of the system's clock in a time zone, such as `2024-05-06T07:08:09.123+02:00`.
pub(crate) fn rfc3339(at: SystemTime, offset: UtcOffset, digits: Digits) -> String {
    let at = OffsetDateTime::from(at).to_offset(offset);
    let (date, time) = (at.date(), at.time());
    let (hours, minutes, _) = offset.as_hms();
    let sign = if offset.is_negative() { '-' } else { '+' };
    let fraction = match digits {
        Digits::Three => format!("{:03}", time.millisecond()),
        Digits::Six => format!("{:06}", time.microsecond()),
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{fraction}{sign}{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        hours.unsigned_abs(),
        minutes.unsigned_abs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_time_is_written_in_its_zone_with_all_its_digits() {
        let at = UNIX_EPOCH + Duration::from_micros(1_709_251_199_050_600);
        let text =
            |hours, minutes, digits| rfc3339(at, UtcOffset::from_hms(hours, minutes, 0).expect("an offset"), digits);
        assert_eq!(text(0, 0, Digits::Three), "2024-02-29T23:59:59.050+00:00");
        assert_eq!(text(5, 45, Digits::Six), "2024-03-01T05:44:59.050600+05:45");
        assert_eq!(text(-3, -30, Digits::Three), "2024-02-29T20:29:59.050-03:30");
    }
}
