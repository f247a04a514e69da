//! Dates among a product's texts: whatever is written as RFC 3339 writes a date or a moment is one, besides being text.
//!
//! Nobody declares it: a shop that writes `2026-03-01` means a day. A day begins at midnight UTC. Moments are compared to
//! the millisecond, which is what every store keeps.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// 0000-01-01T00:00:00Z: RFC 3339 has no year before.
const FIRST_MS: i64 = -62_167_219_200_000;

/// The milliseconds since 1970 of a text that is a date such as `2026-03-01`, or a moment such as
/// `2026-03-01T12:30:00+01:00`; none of any other text.
pub fn milliseconds(text: &str) -> Option<i64> {
    let moment = if looks_like(text, "0000-00-00") {
        text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp()
    } else if is_moment(text) {
        text.parse::<Timestamp>().ok()?
    } else {
        return None;
    };
    Some(moment.as_millisecond()).filter(|ms| *ms >= FIRST_MS)
}

/// The moment as text that [`milliseconds`] reads.
pub fn text_of(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX).to_string()
}

/// `2026-03-01T12:30:00`, a fraction if there is one, then `Z` or an offset.
fn is_moment(text: &str) -> bool {
    let Some((day_and_time, rest)) = text.split_at_checked(19) else { return false };
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
    };
    let is_zone = zone == "Z" || looks_like(zone, "+00:00") || looks_like(zone, "-00:00");
    looks_like(day_and_time, "0000-00-00T00:00:00") && is_zone
}

/// Whether each character is the pattern's, or a digit where the pattern has one.
fn looks_like(text: &str, pattern: &str) -> bool {
    let fits = |(own, wanted): (u8, u8)| if wanted == b'0' { own.is_ascii_digit() } else { own == wanted };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("1970-01-02", 86_400_000)]
    #[case("1970-01-01T00:00:00Z", 0)]
    #[case("1970-01-01T01:00:00.25+01:00", 250)]
    #[case("1969-12-31T23:59:59.999Z", -1)]
    #[case("0000-01-01", FIRST_MS)]
    #[case("2024-02-29T12:00:00-00:30", 1_709_209_800_000)]
    fn a_date_is_a_moment_and_survives_its_text(#[case] text: &str, #[case] ms: i64) {
        assert_eq!(milliseconds(text), Some(ms));
        assert_eq!(milliseconds(&text_of(ms)), Some(ms));
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "2024",
            "2024-2-1",
            "2023-02-29",
            "2024-13-01",
            "20240201",
            "2024-02-01 12:00:00Z",
            "2024-02-01T12:00Z",
            "2024-02-01T12:00:00",
            "2024-02-01T12:00:00.Z",
            "2024-02-01T12:00:00+01",
            "2024-02-01T12:00:00Z[UTC]",
            "2024-02-01T25:00:00Z",
            "+02024-02-01",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-12:00",
            " 2024-02-01",
            "\u{ff12}024-02-01",
            "2024-02-01T12:00:0é",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}
