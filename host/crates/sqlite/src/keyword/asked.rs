//! What a shopper's words ask of the index. They are only ever quoted strings to FTS5, which have no operators.

use taja_catalog::words::{
    Instead, MAX_WORD_CHARS, MAX_WORDS, MIN_PREFIX, Wanted, is_unspaced, pairs, words,
};

/// What one word of the query asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// Any of these expressions, in FTS5's language.
    pub(super) phrases: Vec<String>,
    /// Where none of them is any of these, each with what it counts; best first.
    pub(super) instead: Vec<(String, f64)>,
    /// The word, if its pieces may be looked for.
    pub(super) word: Option<String>,
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// What a query's words ask for, each once.
pub(super) fn asked(wanted: &Wanted) -> Vec<Asked> {
    let mut all: Vec<Asked> = Vec::new();
    for word in words(wanted.text()) {
        for next in ask_for(word, wanted) {
            if all.len() == MAX_WORDS {
                return all;
            }
            if !all.contains(&next) {
                all.push(next);
            }
        }
    }
    all
}

fn ask_for(word: &str, wanted: &Wanted) -> Vec<Asked> {
    let phrase = |phrase: String| Asked { phrases: vec![phrase], instead: Vec::new(), word: None };
    if word.starts_with(is_unspaced) {
        return match word.chars().nth(1) {
            None => vec![phrase(format!("{}*", quoted(word)))],
            Some(_) => pairs(word).take(MAX_WORDS).map(|pair| phrase(quoted(pair))).collect(),
        };
    }
    let all_of = |one: &Instead| format!("({})", one.words().map(quoted).collect::<Vec<_>>().join(" AND "));
    let instead = wanted.instead(word).iter().map(|one| (all_of(one), one.weight.into())).collect();
    let word: String = word.to_lowercase().chars().take(MAX_WORD_CHARS).collect();
    let quote = quoted(&word);
    let long = word.chars().nth(MIN_PREFIX - 1).is_some();
    let phrases = if long { vec![quote.clone(), format!("{quote}*")] } else { vec![quote] };
    vec![Asked { phrases, instead, word: Some(word) }]
}

/// A word by all its pieces of three characters; none when it is shorter than a prefix worth asking for.
pub(super) fn pieces(word: &str) -> Option<String> {
    let chars: Vec<char> = word.chars().collect();
    let piece = |three: &[char]| quoted(&three.iter().collect::<String>());
    let all: Vec<_> = chars.windows(3).map(piece).collect();
    (chars.len() >= MIN_PREFIX).then(|| format!("({})", all.join(" AND ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_a_shopper_types_is_inside_quotes() {
        let hostile = "a\"b* NEAR(c) {name}:d AND^e \u{201c}f -g+h";
        for phrase in asked(&hostile.into()).into_iter().flat_map(|asked| asked.phrases) {
            let outside: String = phrase.split('"').step_by(2).collect();
            assert!(outside.is_empty() || outside == "*", "{phrase}");
        }
    }

    #[test]
    fn a_query_asks_for_no_more_words_than_count() {
        let long: String = (0..500).map(|n| format!("word{n} ")).collect();
        assert_eq!(asked(&long.as_str().into()).len(), MAX_WORDS);
        assert_eq!(asked(&Wanted::new("字".repeat(10_000))).len(), 1, "the same pair is asked for once");
        assert_eq!(asked(&"shoe Shoe SHOE".into()).len(), 1);
    }
}
