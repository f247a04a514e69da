//! Words as they are compared.

use unicode_normalization::UnicodeNormalization;

fn is_diacritic(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// Text in lower case, without the diacritics of Latin, Greek and Cyrillic. Vowel signs of other scripts stay.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain: String = text.nfd().filter(|c| !is_diacritic(*c)).nfc().collect();
    // Lower case may bring a diacritic of its own.
    plain.to_lowercase().chars().filter(|c| !is_diacritic(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_diacritics_go_and_vowel_signs_stay() {
        assert_eq!(fold("CAFÉ Cafe\u{301} Ёлка İstanbul"), "cafe cafe елка istanbul");
        assert_eq!(fold("नीली"), "नीली");
        assert_eq!(fold("赤いTシャツ"), "赤いtシャツ");
    }
}
