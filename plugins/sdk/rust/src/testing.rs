//! Candidates for native tests, made from products and legs by name, and answers read back by name.

use std::collections::HashMap;

use crate::rank::{Candidates, Leg, Matches, NONE, NumberColumn, Ranked, TextColumn};

/// Candidates in the making. Products are numbered in the order in which they are first named.
#[derive(Debug)]
pub struct Sample {
    names: Vec<String>,
    candidates: Candidates,
}

impl Sample {
    /// A sample with the columns that the manifest asks for: numbers and texts.
    pub fn new(numbers: &[&str], texts: &[&str]) -> Self {
        let number = |name: &&str| NumberColumn { name: (*name).to_owned(), values: vec![] };
        let text = |name: &&str| TextColumn { name: (*name).to_owned(), dictionary: vec![], codes: vec![] };
        let candidates = Candidates {
            legs: vec![],
            product_count: 0,
            matches: Matches { legs: vec![], products: vec![], images: vec![], scores: vec![] },
            numbers: numbers.iter().map(number).collect(),
            texts: texts.iter().map(text).collect(),
            limit: 1000,
            settings: "{}".to_owned(),
        };
        Self { names: vec![], candidates }
    }

    /// A product with the values it has. Panics when a value is of no column.
    pub fn product(mut self, name: &str, numbers: &[(&str, f64)], texts: &[(&str, &str)]) -> Self {
        let product = self.number_of(name) as usize;
        for (attribute, number) in numbers {
            let column = self.candidates.numbers.iter_mut().find(|column| column.name == *attribute);
            column.unwrap_or_else(|| panic!("{attribute} is no column of numbers")).values[product] = *number;
        }
        for (attribute, text) in texts {
            let column = self.candidates.texts.iter_mut().find(|column| column.name == *attribute);
            let column = column.unwrap_or_else(|| panic!("{attribute} is no column of texts"));
            let known = column.dictionary.iter().position(|known| known == text);
            let code = known.unwrap_or_else(|| {
                column.dictionary.push((*text).to_owned());
                column.dictionary.len() - 1
            });
            column.codes[product] = code as u32;
        }
        self
    }

    /// A leg of matches by image, best first, each with its cosine; its weight is 1.
    pub fn cosines(self, name: &str, modality: &str, hits: &[(&str, f32)]) -> Self {
        self.leg(name, modality, true, hits)
    }

    /// A leg of matches by words, best first, each with its relevance; its weight is 1.
    pub fn relevances(self, name: &str, modality: &str, hits: &[(&str, f32)]) -> Self {
        self.leg(name, modality, false, hits)
    }

    /// The weight of the last leg.
    pub fn weight(mut self, weight: f32) -> Self {
        if let Some(leg) = self.candidates.legs.last_mut() {
            leg.weight = weight;
        }
        self
    }

    /// What the tenant set, as JSON.
    pub fn settings(mut self, json: &str) -> Self {
        json.clone_into(&mut self.candidates.settings);
        self
    }

    /// How many products the client can page through; 1,000 unless told.
    pub fn limit(mut self, limit: u32) -> Self {
        self.candidates.limit = limit;
        self
    }

    /// What the plugin is asked to rank.
    pub fn candidates(&self) -> Candidates {
        self.candidates.clone()
    }

    /// The names of an answer, best first. Panics when the host would refuse the answer, and says why.
    pub fn order(&self, ranked: &Ranked) -> Vec<&str> {
        assert_valid(&self.candidates, ranked);
        ranked.products.iter().map(|product| self.names[*product as usize].as_str()).collect()
    }

    /// The first note of a product.
    pub fn note<'a>(&self, ranked: &'a Ranked, product: &str) -> Option<&'a str> {
        let is_it = |place: u32| {
            let number = ranked.products.get(place as usize);
            number.is_some_and(|number| self.names[*number as usize] == product)
        };
        ranked.notes.iter().find(|note| is_it(note.place)).map(|note| note.text.as_str())
    }

    fn leg(mut self, name: &str, modality: &str, cosine: bool, hits: &[(&str, f32)]) -> Self {
        let place = self.candidates.legs.len() as u32;
        self.candidates.legs.push(Leg {
            name: name.to_owned(),
            modality: modality.to_owned(),
            cosine,
            weight: 1.0,
        });
        for (product, score) in hits {
            let product = self.number_of(product);
            let matches = &mut self.candidates.matches;
            matches.images.push(if cosine { matches.legs.len() as u32 } else { NONE });
            matches.legs.push(place);
            matches.products.push(product);
            matches.scores.push(*score);
        }
        self
    }

    fn number_of(&mut self, name: &str) -> u32 {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return known as u32;
        }
        self.names.push(name.to_owned());
        self.candidates.product_count += 1;
        self.candidates.numbers.iter_mut().for_each(|column| column.values.push(f64::NAN));
        self.candidates.texts.iter_mut().for_each(|column| column.codes.push(NONE));
        self.candidates.product_count - 1
    }
}

/// Panics where the host would refuse the answer, and says why.
pub fn assert_valid(candidates: &Candidates, ranked: &Ranked) {
    let count = ranked.products.len();
    assert_eq!(
        (ranked.scores.len(), ranked.evidence_ends.len()),
        (count, count),
        "the columns differ in length"
    );
    let mut places = HashMap::new();
    for (product, place) in ranked.products.iter().zip(0..) {
        assert!(*product < candidates.product_count, "product {product} is not among the candidates");
        let earlier = places.insert(*product, place);
        assert!(earlier.is_none(), "product {product} stands twice");
    }
    assert!(ranked.scores.iter().all(|score| score.is_finite()), "a score is no finite number");
    assert!(ranked.scores.is_sorted_by(|a, b| a >= b), "scores rise");
    assert!(ranked.evidence_ends.is_sorted(), "the ends of evidence fall");
    let last = ranked.evidence_ends.last().copied().unwrap_or(0);
    assert_eq!(last as usize, ranked.evidence.len(), "the ends of evidence do not cover the evidence");
    let mut from = 0;
    for (product, end) in ranked.products.iter().zip(&ranked.evidence_ends) {
        for row in &ranked.evidence[from..*end as usize] {
            let of = candidates.matches.products.get(*row as usize);
            assert_eq!(of, Some(product), "row {row} is no evidence of product {product}");
        }
        from = *end as usize;
    }
    let mut rows = ranked.evidence.clone();
    rows.sort_unstable();
    assert!(rows.is_sorted_by(|a, b| a < b), "a match is shown twice");
    assert!(ranked.notes.len() <= 100, "there are more than 100 notes");
    assert!(ranked.notes.iter().all(|note| (note.place as usize) < count), "a note is about no place");
}
