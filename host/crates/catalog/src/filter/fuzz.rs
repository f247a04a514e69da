//! Texts that may be filters: whatever they are, reading them ends, and what was read means the same when it is written.

use serde_json::json;

use super::Filter;
use crate::product::Details;

#[test]
fn any_text_is_a_filter_that_survives_being_written_or_is_refused() {
    let details: Details = serde_json::from_value(json!({
        "name": "shoe", "price": 3, "sizes": ["41"], "attributes": { "a": true, "since": "2026-03-01" },
    }))
    .expect("valid details");
    bolero::check!().with_type::<(String, Vec<u8>)>().for_each(|(text, places)| {
        for text in [text, &woven(text, places)] {
            if let Ok(filter) = Filter::parse_text(text) {
                let written = filter.to_value();
                let again = Filter::from_written(&written);
                assert_eq!(again.as_ref().map(Filter::to_value), Ok(written), "{text}");
                assert_eq!(
                    again.map(|again| again.matches(&details)),
                    Ok(filter.matches(&details)),
                    "{text}"
                );
            }
        }
    });
}

/// Something that looks more like a filter than any text does: words of the language, chosen by the bytes, around the text.
fn woven(text: &str, places: &[u8]) -> String {
    const WORDS: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"and\"",
        "\"or\"",
        "\"not\"",
        "\"name\"",
        "\"price\"",
        "\"sizes\"",
        "\"attributes.since\"",
        "\"in\"",
        "\"gte\"",
        "\"lt\"",
        "\"ne\"",
        "\"exists\"",
        "\"prefix\"",
        "true",
        "1e308",
        "-0",
        "\"2026-03-01T00:00:00Z\"",
        "null",
    ];
    let mut woven = String::from("{");
    for place in places.iter().take(64) {
        match WORDS.get(usize::from(*place)) {
            Some(word) => woven.push_str(word),
            None => woven.push_str(&serde_json::to_string(text).unwrap_or_default()),
        }
    }
    woven.push('}');
    woven
}
