//! The words that a shop's products have, and which of them stand for what a shopper types.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
};

use memchr::memmem;

use super::{
    Instead, Language, MAX_WORD_CHARS, MIN_PREFIX, Wanted, WordSettings, distance::typos, fold, is_unspaced,
    language::Stems, settings::Phrase, words,
};

/// Words that are kept of one shop: some 20 MB. Later ones are found as they are typed, and by nothing else.
const MOST_WORDS: usize = 100_000;
/// Letters of the shortest word that is kept.
const SHORTEST: usize = 3;
/// Letters from which on a word may have one typing error, and two. Algolia's defaults (`minWordSizefor1Typo`,
/// `minWordSizefor2Typos`); Lucene begins at 3 and 6, where most short words are another word's typing error.
const ONE_TYPO_FROM: usize = 4;
const TWO_TYPOS_FROM: usize = 8;
/// Words that may stand for one word by the same reason.
const MOST_INSTEAD: usize = 6;
/// How many times more products have a word than a like one that is taken for a typing error of it.
const RARER: u32 = 20;

/// What a word of the same stem counts beside the word itself.
const SAME_STEM: f32 = 0.9;
/// What a synonym counts.
const SYNONYM: f32 = 0.8;
/// What a word counts that is one typing error away.
const ONE_TYPO: f32 = 0.25;
/// What a word counts that is two typing errors away.
const TWO_TYPOS: f32 = 0.2;

/// What is known of a word.
#[derive(Debug)]
struct Entry {
    /// Products that have it, those of texts that changed once more for each change.
    products: u32,
    /// Letters.
    length: u8,
    /// A bit for each letter that it has, by the letter's number: words that differ in more bits than errors can make differ
    /// are not compared.
    letters: u64,
    /// How it is written, where that is not how it is folded.
    written: Option<Box<str>>,
}

/// A word of a text that is looked for.
struct Typed {
    /// In lower case.
    written: String,
    folded: String,
    /// Its English stem.
    english: String,
    /// Its stems in the shop's other languages.
    own: Vec<String>,
}

/// A rule that speaks of words of such a text.
struct Spoken<'a> {
    words: &'a [Typed],
    /// What the rule calls them.
    phrase: &'a Phrase,
    /// What they are looked for by, too.
    found: &'a [Phrase],
}

/// What the rules say that a word is looked for by. Each word of a phrase stands for all of it: what the phrase is called
/// otherwise is found for each of them.
fn synonyms(typed: &Typed, spoken: &[Spoken<'_>]) -> impl Iterator<Item = Instead> {
    let of_word = spoken.iter().filter(|rule| rule.words.iter().any(|word| word.written == typed.written));
    let others = of_word.flat_map(|rule| rule.found.iter().filter(|other| *other != rule.phrase));
    others.map(|other| Instead { word: other.text.clone(), weight: SYNONYM })
}

/// Words by their stems.
type ByStem = HashMap<Box<str>, Vec<Box<str>>, foldhash::fast::RandomState>;

/// The words of one shop, and how many products have each.
#[derive(Debug)]
pub struct Vocabulary {
    /// By how they are folded; words of one first letter lie together.
    words: BTreeMap<Box<str>, Entry>,
    /// What finds stems in each of the shop's languages but English, and the words by those.
    by_stems: Vec<(Stems, ByStem)>,
    /// How many products have a word of an English stem, as every store finds it.
    english: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    /// All words, each after a line feed, to find in which of them another one stands.
    joined: String,
    english_stems: Stems,
}

impl Vocabulary {
    /// No words yet, of a shop that writes in these languages.
    pub fn new(languages: &[Language]) -> Self {
        let others = languages.iter().filter(|language| **language != Language::ENGLISH);
        Self {
            words: BTreeMap::new(),
            by_stems: others.map(|language| (language.stems(), ByStem::default())).collect(),
            english: HashMap::default(),
            joined: String::new(),
            english_stems: Language::ENGLISH.stems(),
        }
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Learns the words of a product's text.
    pub fn add(&mut self, text: &str) {
        let text = text.to_lowercase();
        let distinct: HashSet<_> = words(&text).filter(|word| is_kept(word)).collect();
        for word in distinct {
            self.add_word(word);
        }
    }

    fn add_word(&mut self, written: &str) {
        let word = fold(written);
        if is_plain(&word) {
            let stem = self.english_stems.of(&word);
            if let Some(products) = self.english.get_mut(stem.as_str()) {
                *products += 1;
            } else if self.english.len() < MOST_WORDS {
                self.english.insert(stem.into(), 1);
            }
        }
        if let Some(entry) = self.words.get_mut(word.as_str()) {
            entry.products += 1;
            return;
        }
        if self.words.len() == MOST_WORDS {
            return;
        }
        for (stems, by_stem) in &mut self.by_stems {
            by_stem.entry(stems.of(written).into()).or_default().push(word.as_str().into());
        }
        self.joined.push('\n');
        self.joined.push_str(&word);
        let entry = Entry {
            products: 1,
            length: u8::try_from(word.chars().count()).unwrap_or(u8::MAX),
            letters: letters(&word),
            written: (written != word).then(|| written.into()),
        };
        self.words.insert(word.into(), entry);
    }

    /// A text with all that stands for its words in this shop.
    pub fn wanted(&self, text: &str, settings: &WordSettings) -> Wanted {
        let mut wanted = Wanted::new(text);
        let typed: Vec<_> = words(text).map(|word| self.read(word)).collect();
        let spoken = self.spoken(&typed, settings);
        for word in typed.iter().filter(|word| !word.written.starts_with(is_unspaced)) {
            wanted.allow(&word.written, self.instead(word, &spoken, settings));
        }
        wanted
    }

    fn read(&self, word: &str) -> Typed {
        let written = word.to_lowercase();
        let folded = fold(&written);
        Typed {
            english: self.english_stem(&folded).into_owned(),
            own: self.by_stems.iter().map(|(stems, _)| stems.of(&written)).collect(),
            folded,
            written,
        }
    }

    /// What stands for a word.
    fn instead(&self, typed: &Typed, spoken: &[Spoken<'_>], settings: &WordSettings) -> Vec<Instead> {
        let Typed { written, folded: word, .. } = typed;
        let mut instead: Vec<_> = synonyms(typed, spoken).collect();
        instead.extend(self.same_stem(typed));
        if instead.is_empty() && settings.typos {
            instead = self.corrections(word);
            instead.extend(self.longer(&instead));
        }
        // What has the English stem of another one is found by the same rows.
        let stem = |word: &str| self.english_stem(&fold(word)).into_owned();
        let mut seen = HashSet::from([stem(written)]);
        instead.retain(|one| seen.insert(stem(&one.word)));
        instead
    }

    fn english_stem<'word>(&self, word: &'word str) -> Cow<'word, str> {
        if is_plain(word) { self.english_stems.of(word).into() } else { word.into() }
    }

    /// The rules that speak of words of a text.
    fn spoken<'a>(&self, typed: &'a [Typed], settings: &'a WordSettings) -> Vec<Spoken<'a>> {
        // Forms of a word mean the same; they begin with one letter.
        let has_stem = |typed: &Typed, written: &str| {
            self.by_stems.iter().zip(&typed.own).any(|((stems, _), own)| *own == stems.of(written))
        };
        let is_form = |typed: &Typed, written: &str, folded: &str| {
            typed.folded.chars().next() == folded.chars().next()
                && (typed.english == self.english_stem(folded) || has_stem(typed, written))
        };
        let mut spoken = Vec::new();
        for rule in &settings.synonyms {
            for phrase in &rule.typed {
                let is_phrase = |words: &&[Typed]| {
                    let written = phrase.text.split(' ').zip(&phrase.folded);
                    words
                        .iter()
                        .zip(written)
                        .all(|(typed, (written, folded))| is_form(typed, written, folded))
                };
                for words in typed.windows(phrase.folded.len()).filter(is_phrase) {
                    spoken.push(Spoken { words, phrase, found: &rule.found });
                }
            }
        }
        spoken
    }

    fn same_stem(&self, typed: &Typed) -> Vec<Instead> {
        let of_language = self.by_stems.iter().zip(&typed.own);
        let forms = of_language.filter_map(|((_, by_stem), own)| by_stem.get(own.as_str())).flatten();
        let forms: BTreeSet<_> = forms.filter(|form| form.as_ref() != typed.folded).collect();
        let mut forms: Vec<_> = forms.into_iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(self.words[form.as_ref()].products));
        forms.truncate(MOST_INSTEAD);
        forms.into_iter().map(|form| Instead { word: self.written(form), weight: SAME_STEM }).collect()
    }

    /// Words of which this one may be a typing error, the likeliest first; none when the shop has the word.
    fn corrections(&self, word: &str) -> Vec<Instead> {
        let typed: Vec<char> = word.chars().collect();
        let most = usize::from(typed.len() >= ONE_TYPO_FROM) + usize::from(typed.len() >= TWO_TYPOS_FROM);
        if most == 0 || !is_kept(word) {
            return Vec::new();
        }
        let known = self.products_with(word);
        if known == 0 && memmem::find(self.joined.as_bytes(), word.as_bytes()).is_some() {
            // A part of a compound.
            return Vec::new();
        }
        let (bits, mut found) = (letters(word), Vec::new());
        let first = typed[0].to_string();
        for (other, entry) in self.beginning_with(&first) {
            let differ = (bits ^ entry.letters).count_ones() as usize;
            if differ > 2 * most || usize::from(entry.length).abs_diff(typed.len()) > most {
                continue;
            }
            if entry.products <= known.saturating_mul(RARER) {
                continue;
            }
            let letters: Vec<char> = other.chars().collect();
            if let Some(errors) = typos(&typed, &letters, most).filter(|errors| *errors > 0) {
                found.push((errors, std::cmp::Reverse(entry.products), other));
            }
        }
        found.sort_unstable();
        found.truncate(MOST_INSTEAD);
        let weight = |errors| if errors == 1 { ONE_TYPO } else { TWO_TYPOS };
        found
            .into_iter()
            .map(|(errors, _, other)| Instead { word: self.written(other), weight: weight(errors) })
            .collect()
    }

    /// Words that begin with corrected ones, as those that begin with what was typed are found: the most frequent.
    fn longer(&self, corrected: &[Instead]) -> Vec<Instead> {
        let mut found = Vec::new();
        for Instead { word, weight } in corrected {
            let word = fold(word);
            if finds_longer(&word) {
                let longer = self.beginning_with(&word).filter(|(other, _)| *other != word);
                found.extend(longer.map(|(other, entry)| (entry.products, other, *weight)));
            }
        }
        found.sort_by(|(a, ..), (b, ..)| b.cmp(a));
        found.truncate(MOST_INSTEAD);
        found.into_iter().map(|(_, other, weight)| Instead { word: self.written(other), weight }).collect()
    }

    /// How many products have a word, in any form that finds it.
    fn products_with(&self, word: &str) -> u32 {
        let exactly = self.words.get(word).map_or(0, |entry| entry.products);
        let english = self.english.get(self.english_stem(word).as_ref()).copied().unwrap_or_default();
        let longer = if finds_longer(word) {
            self.beginning_with(word).map(|(_, entry)| entry.products).fold(0, u32::saturating_add)
        } else {
            0
        };
        exactly.max(english).max(longer)
    }

    fn beginning_with(&self, first: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let words = self.words.range::<str, _>((Bound::Included(first), Bound::Unbounded));
        let words = words.take_while(move |(word, _)| word.starts_with(first));
        words.map(|(word, entry)| (word.as_ref(), entry))
    }

    /// A text with each word that the shop does not have written like the one that was likely meant; none when there is nothing
    /// to correct.
    pub fn respelled(&self, text: &str, settings: &WordSettings) -> Option<String> {
        if !settings.typos {
            return None;
        }
        let (mut respelled, mut rest, mut is_other) = (String::new(), text, false);
        let read: Vec<_> = words(text).map(|word| self.read(word)).collect();
        let spoken = self.spoken(&read, settings);
        for (typed, read) in words(text).zip(&read) {
            let at = typed.as_ptr() as usize - text.as_ptr() as usize;
            respelled.push_str(&rest[..at - (text.len() - rest.len())]);
            rest = &text[at + typed.len()..];
            match self.meant(read, &spoken) {
                Some(meant) => {
                    respelled.push_str(&meant);
                    is_other = true;
                }
                None => respelled.push_str(typed),
            }
        }
        respelled.push_str(rest);
        is_other.then_some(respelled)
    }

    fn meant(&self, typed: &Typed, spoken: &[Spoken<'_>]) -> Option<String> {
        if synonyms(typed, spoken).next().is_some() || !self.same_stem(typed).is_empty() {
            return None;
        }
        self.corrections(&typed.folded).into_iter().next().map(|best| best.word)
    }

    /// How a word is written that is folded so.
    fn written(&self, word: &str) -> String {
        let written = self.words.get(word).and_then(|entry| entry.written.as_deref());
        written.unwrap_or(word).to_owned()
    }
}

/// Whether a word is one that may be mistyped: no number, not of a script without spaces, neither short nor endless.
fn is_kept(word: &str) -> bool {
    let length = word.chars().count();
    (SHORTEST..=MAX_WORD_CHARS).contains(&length)
        && !word.starts_with(is_unspaced)
        && !word.contains(char::is_numeric)
}

/// Whether stores find longer words that begin with one.
fn finds_longer(word: &str) -> bool {
    word.chars().nth(MIN_PREFIX - 1).is_some()
}

/// Whether stores find a word by its English stem.
fn is_plain(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn letters(word: &str) -> u64 {
    word.chars().fold(0, |bits, letter| bits | 1 << (u32::from(letter) % 64))
}

#[cfg(test)]
mod tests;
