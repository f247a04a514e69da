use proptest::prelude::*;

use super::{super::Synonyms, *};

fn of<'a>(languages: impl IntoIterator<Item = &'a str>, texts: &[&str]) -> Vocabulary {
    let languages: Vec<_> = languages.into_iter().map(|code| code.parse().unwrap()).collect();
    let mut vocabulary = Vocabulary::new(&languages);
    texts.iter().for_each(|text| vocabulary.add(text));
    vocabulary
}

fn settings() -> WordSettings {
    WordSettings::default()
}

fn instead(vocabulary: &Vocabulary, word: &str) -> Vec<String> {
    let wanted = vocabulary.wanted(word, &settings());
    wanted.instead(word).iter().map(|one| one.word.clone()).collect()
}

#[test]
fn a_word_that_the_shop_does_not_have_stands_for_like_ones() {
    let vocabulary = of(None, &["red shoe", "shoe shelf", "waterproof jacket"]);
    assert_eq!(instead(&vocabulary, "sheo"), ["shoe"]);
    assert_eq!(instead(&vocabulary, "Sheo"), ["shoe"]);
    assert_eq!(instead(&vocabulary, "watreprof"), ["waterproof"], "eight letters may have two errors");
    assert!(instead(&vocabulary, "jekat").is_empty(), "five letters may not");
    assert!(instead(&vocabulary, "hsoe").is_empty(), "the first letter counts");
    assert!(instead(&vocabulary, "rde").is_empty(), "three letters have no errors");
}

#[test]
fn a_corrected_word_finds_longer_ones_as_a_typed_one_does() {
    let vocabulary = of(None, &["laptop", "laptopbag", "laptopbag laptopsleeve", "laptops", "lap"]);
    assert_eq!(instead(&vocabulary, "latpop"), ["laptop", "laptopbag", "laptopsleeve"]);
    assert_eq!(vocabulary.respelled("latpop", &settings()).as_deref(), Some("laptop"));
    let short = of(None, &["cap", "capstan"]);
    assert_eq!(instead(&short, "capp"), ["cap"], "three letters begin nothing");
}

#[test]
fn a_word_that_the_shop_has_in_any_way_stands_for_itself() {
    let vocabulary = of(None, &["shoes short", "sandbox"]);
    for word in ["shoes", "shoe", "shor", "andbo"] {
        assert!(instead(&vocabulary, word).is_empty(), "{word}");
    }
}

#[test]
fn a_rare_word_stands_for_a_like_one_that_is_far_more_frequent() {
    let mut vocabulary = of(None, &["shrit"]);
    (0..RARER).for_each(|_| vocabulary.add("shirt"));
    assert!(instead(&vocabulary, "shrit").is_empty());
    vocabulary.add("shirt");
    assert_eq!(instead(&vocabulary, "shrit"), ["shirt"]);
    assert!(instead(&vocabulary, "shirt").is_empty());
}

#[test]
fn fewer_errors_come_before_more_products() {
    let vocabulary = of(None, &["backpacks", "backpaxxs", "backpaxxs"]);
    assert_eq!(instead(&vocabulary, "backpaxks"), ["backpaxxs", "backpacks"]);
    let vocabulary = of(None, &["backpacka", "backpaxks", "backpaxks", "backpaxks"]);
    assert_eq!(instead(&vocabulary, "backpackd"), ["backpacka", "backpaxks"]);
}

#[test]
fn words_with_digits_are_never_corrected() {
    let vocabulary = of(None, &["AB1234 model", "12345 model"]);
    for word in ["ab1235", "12354", "model1"] {
        assert!(instead(&vocabulary, word).is_empty(), "{word}");
        assert_eq!(vocabulary.respelled(word, &settings()), None);
    }
}

#[test]
fn forms_stand_for_each_other_in_the_language_of_the_shop() {
    let german = of(Some("de"), &["Häuser aus Holz", "das Haus"]);
    assert_eq!(instead(&german, "haus"), ["häuser"]);
    assert_eq!(instead(&german, "hauses"), ["häuser"], "every store finds what has one English stem");
    assert!(instead(&of(None, &["Häuser aus Holz", "das Haus"]), "hauses").is_empty());
    let russian = of(Some("ru"), &["Красный чайник"]);
    assert_eq!(instead(&russian, "красная"), ["красный"]);
    let both = of(["en", "de", "ru"], &["Häuser", "Красный чайник"]);
    assert_eq!(instead(&both, "haus"), ["häuser"]);
    assert_eq!(instead(&both, "красная"), ["красный"]);
}

#[test]
fn synonyms_stand_for_each_other_or_one_way() {
    let vocabulary = of(None, &["trainer", "shoe"]);
    let rules = ["sneaker, trainer", "boot => shoe"].map(|rule| Synonyms::parse(rule).unwrap());
    let settings = WordSettings { synonyms: rules.to_vec(), ..settings() };
    let instead = |word: &str| {
        let wanted = vocabulary.wanted(word, &settings);
        wanted.instead(word).iter().map(|one| one.word.clone()).collect::<Vec<_>>()
    };
    assert_eq!(instead("sneaker"), ["trainer"]);
    assert_eq!(instead("Sneakers"), ["trainer"]);
    assert_eq!(instead("trainer"), ["sneaker"]);
    assert_eq!(instead("boot"), ["shoe"]);
    assert!(instead("shoe").is_empty());
    assert_eq!(vocabulary.respelled("boot", &settings), None, "a word with synonyms is known");
}

#[test]
fn phrases_stand_for_words_and_words_for_phrases() {
    let vocabulary = of(None, &["tee", "wedding dress"]);
    let rules = ["t-shirt, tee", "bridal gown => wedding dress"].map(|rule| Synonyms::parse(rule).unwrap());
    let settings = WordSettings { synonyms: rules.to_vec(), ..settings() };
    let instead = |text: &str, word: &str| {
        let wanted = vocabulary.wanted(text, &settings);
        wanted.instead(word).iter().map(|one| one.word.clone()).collect::<Vec<_>>()
    };
    for word in ["t", "shirts"] {
        assert_eq!(instead("a red T-shirts", word), ["tee"], "{word}");
    }
    assert_eq!(instead("red tees", "tees"), ["t shirt"]);
    assert!(instead("shirt", "shirt").is_empty() && instead("t red shirt", "shirt").is_empty());
    assert_eq!(instead("cheap bridal gowns", "bridal"), ["wedding dress"]);
    assert!(instead("wedding dress", "dress").is_empty());
    assert_eq!(vocabulary.respelled("bridal gown", &settings), None, "words of a phrase are known");
}

#[test]
fn a_text_is_respelled_with_the_words_of_the_shop() {
    let vocabulary = of(None, &["red shoe", "crème brûlée"]);
    let respelled = |text: &str| vocabulary.respelled(text, &settings());
    assert_eq!(respelled(" Red, SHEO! "), Some(" Red, shoe! ".into()));
    assert_eq!(respelled("cremme"), Some("crème".into()));
    assert_eq!(respelled("red shoes"), None);
    assert_eq!(respelled(""), None);
    assert_eq!(respelled("赤いsheo 2"), Some("赤いshoe 2".into()));
}

#[test]
fn a_shop_can_do_without_corrections() {
    let vocabulary = of(None, &["red shoe"]);
    let settings = WordSettings { typos: false, ..settings() };
    assert_eq!(vocabulary.wanted("sheo", &settings), Wanted::new("sheo"));
    assert_eq!(vocabulary.respelled("sheo", &settings), None);
}

proptest! {
    #[test]
    fn whatever_is_typed_stands_for_words_that_the_shop_has(
        stock in proptest::collection::vec("[a-cä1 ]{0,12}", 0..8), typed in "[a-cä1 .]{0,16}",
    ) {
        let stock: Vec<_> = stock.iter().map(String::as_str).collect();
        for language in [None, Some("de")] {
            let vocabulary = of(language, &stock);
            let wanted = vocabulary.wanted(&typed, &settings());
            prop_assert_eq!(wanted.text(), typed.as_str());
            for word in words(&typed) {
                let others = wanted.instead(word);
                prop_assert!(others.len() <= MOST_INSTEAD);
                prop_assert!(others.is_sorted_by(|a, b| a.weight >= b.weight));
                for other in others {
                    prop_assert!(vocabulary.words.contains_key(fold(&other.word).as_str()));
                    prop_assert!(fold(&other.word) != fold(word) && other.weight > 0.0 && other.weight < 1.0);
                }
            }
            if let Some(respelled) = vocabulary.respelled(&typed, &settings()) {
                prop_assert!(respelled != typed);
                prop_assert_eq!(vocabulary.respelled(&respelled, &settings()), None);
            }
        }
    }
}
