//! How long it takes to find what stands for a word. Run with `cargo bench -p taja-catalog`.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use taja_catalog::words::{MAX_SYNONYMS, Synonyms, Vocabulary, WordSettings};

const WORDS: usize = 50_000;
const SYLLABLES: [&str; 20] = [
    "ka", "lo", "mi", "ren", "tu", "sha", "vo", "pel", "dri", "gan", "fe", "zu", "bor", "ny", "cha", "wi",
    "hol", "ta", "que", "jos",
];

/// The n-th word, of four syllables.
fn word(n: usize) -> String {
    [n % 20, n / 20 % 20, n / 400 % 20, n / 8000 % 20].map(|syllable| SYLLABLES[syllable]).concat()
}

fn print(what: &str, vocabulary: &Vocabulary, settings: &WordSettings, texts: &[String]) {
    let mut times: Vec<Duration> = Vec::with_capacity(texts.len());
    for text in texts {
        let began = Instant::now();
        black_box(vocabulary.wanted(black_box(text), settings));
        times.push(began.elapsed());
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{what:<40} {:>8.1} us median, {:>8.1} us p99, {:>8.1} us slowest", at(0.5), at(0.99), at(1.0));
}

fn main() {
    let mut vocabulary = Vocabulary::new(&[]);
    let began = Instant::now();
    for first in (0..WORDS).step_by(50) {
        vocabulary.add(&(first..first + 50).map(word).collect::<Vec<_>>().join(" "));
    }
    println!("{} words were learned in {:.0} ms", vocabulary.len(), began.elapsed().as_secs_f64() * 1e3);
    let some = || (0..WORDS).step_by(97);
    let plain = WordSettings::default();
    print("a word that is there", &vocabulary, &plain, &some().map(word).collect::<Vec<_>>());
    let swapped = |n: usize| {
        let mut letters: Vec<char> = word(n).chars().collect();
        letters.swap(2, 3);
        letters.into_iter().collect::<String>()
    };
    print("a word with two letters swapped", &vocabulary, &plain, &some().map(swapped).collect::<Vec<_>>());
    let rule = |n: usize| Synonyms::parse(&format!("{}, {}, {}", word(n), word(n + 1), word(n + 2)));
    let synonyms = some().cycle().take(MAX_SYNONYMS).map(|n| rule(n).expect("a rule")).collect();
    let rules = WordSettings { synonyms, ..WordSettings::default() };
    print("a word, and as many rules as can be", &vocabulary, &rules, &some().map(word).collect::<Vec<_>>());
    print(
        "a word like none",
        &vocabulary,
        &plain,
        &some().map(|n| format!("k{}xq", word(n))).collect::<Vec<_>>(),
    );
}
