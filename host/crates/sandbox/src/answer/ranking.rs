//! Candidates for a ranking guest, and the order it answers with.

use std::{collections::HashMap, sync::Arc};

use taja_catalog::{
    policy::{Candidates, Measure, Ranked, Ranking},
    recording::Input,
};

use super::Checked;
use crate::{bindings::rank::exports::taja::plugin::ranking as guest, manifest::AskedColumns};

/// Notes that are kept.
const MAX_NOTES: usize = 100;
/// Longest note, bytes.
const MAX_NOTE_BYTES: usize = 500;

/// What is to rank: as the guest sees it, and as it is recorded when it is to be.
pub(crate) struct Asked {
    pub(crate) guest: Arc<guest::Candidates>,
    /// Whole days since 1970.
    pub(crate) day: u32,
    recorded: Option<Candidates>,
}

impl Asked {
    /// Settings are put in when it is known who is asked.
    pub(crate) fn new(asked: Candidates, recorded: bool) -> Self {
        let recorded = recorded.then(|| asked.clone());
        let day = asked.day;
        Self { guest: Arc::new(candidates(asked, String::new())), day, recorded }
    }

    /// What a policy of these settings is handed, with the columns that it asks for.
    pub(crate) fn of(&mut self, settings: &String, asked: &AskedColumns) -> Arc<guest::Candidates> {
        if self.guest.settings != *settings {
            // Copied only while a call that was given up still holds them.
            Arc::make_mut(&mut self.guest).settings.clone_from(settings);
        }
        narrowed(&self.guest, asked).map_or_else(|| Arc::clone(&self.guest), Arc::new)
    }

    pub(crate) fn recorded(&self) -> Option<Input> {
        self.recorded.clone().map(Input::Rank)
    }
}

/// The candidates as the guest sees them.
fn candidates(candidates: Candidates, settings: String) -> guest::Candidates {
    let legs = candidates.legs.into_iter().map(|leg| guest::Leg {
        name: leg.name,
        modality: leg.modality,
        cosine: leg.measure == Measure::Cosine,
        weight: leg.weight,
    });
    let matches = candidates.matches;
    guest::Candidates {
        legs: legs.collect(),
        product_count: candidates.product_count,
        matches: guest::Matches {
            legs: matches.legs,
            products: matches.products,
            images: matches.images,
            scores: matches.scores,
        },
        numbers: candidates
            .numbers
            .into_iter()
            .map(|(name, values)| guest::NumberColumn { name, values })
            .collect(),
        texts: candidates.texts.into_iter().map(text_column).collect(),
        limit: candidates.limit,
        settings,
    }
}

/// The candidates with the columns of this policy only; none when they have no others.
fn narrowed(candidates: &guest::Candidates, asked: &AskedColumns) -> Option<guest::Candidates> {
    let is_asked = |names: &[String], name: &String| names.contains(name);
    let all = candidates.numbers.iter().all(|column| is_asked(&asked.numbers, &column.name))
        && candidates.texts.iter().all(|column| is_asked(&asked.texts, &column.name));
    if all {
        return None;
    }
    let mut narrowed = candidates.clone();
    narrowed.numbers.retain(|column| is_asked(&asked.numbers, &column.name));
    narrowed.texts.retain(|column| is_asked(&asked.texts, &column.name));
    Some(narrowed)
}

fn text_column((name, values): (String, Vec<Option<String>>)) -> guest::TextColumn {
    let mut dictionary = Vec::new();
    let mut known: HashMap<String, u32> = HashMap::new();
    let code = |value: Option<String>| match value {
        None => u32::MAX,
        Some(text) => *known.entry(text).or_insert_with_key(|text| {
            dictionary.push(text.clone());
            dictionary.len() as u32 - 1
        }),
    };
    let codes = values.into_iter().map(code).collect();
    guest::TextColumn { name, dictionary, codes }
}

/// The order, if it is one: known products, each once, finite scores that never rise, evidence of their own.
pub(crate) fn ranking(ranked: guest::Ranked, candidates: &guest::Candidates) -> Checked<Ranking> {
    let count = ranked.products.len();
    if ranked.scores.len() != count || ranked.evidence_ends.len() != count {
        let (scores, ends) = (ranked.scores.len(), ranked.evidence_ends.len());
        return Err(format!("{count} products have {scores} scores and {ends} ends of evidence"));
    }
    if ranked.evidence_ends.last().copied().unwrap_or(0) as usize != ranked.evidence.len() {
        return Err("the ends of evidence do not cover the evidence".into());
    }
    let mut seen = vec![false; candidates.product_count as usize];
    let mut shown = vec![false; candidates.matches.products.len()];
    let mut products = Vec::with_capacity(count);
    let (mut from, mut last_score) = (0, f32::MAX);
    for (place, &product) in ranked.products.iter().enumerate() {
        match seen.get_mut(product as usize) {
            None => return Err(format!("product {product} at place {place} is not among the candidates")),
            Some(seen) if *seen => return Err(format!("product {product} is ranked twice")),
            Some(seen) => *seen = true,
        }
        let score = ranked.scores[place];
        if !score.is_finite() || score > last_score {
            return Err(format!("the score {score} at place {place} is not finite or rises"));
        }
        last_score = score;
        let end = ranked.evidence_ends[place] as usize;
        let Some(evidence) = ranked.evidence.get(from..end) else {
            return Err(format!("the evidence of place {place} ends before it begins or after its end"));
        };
        for &row in evidence {
            let own = candidates.matches.products.get(row as usize) == Some(&product);
            if !own || std::mem::replace(&mut shown[row as usize], true) {
                return Err(format!("row {row} is no evidence for product {product}, or stands twice"));
            }
        }
        from = end;
        products.push(Ranked { product, score, evidence: evidence.to_vec() });
    }
    Ok(Ranking { notes: notes(ranked.notes, count)?, products })
}

fn notes(notes: Vec<guest::Note>, places: usize) -> Checked<Vec<(u32, String)>> {
    let note = |mut note: guest::Note| {
        if note.place as usize >= places {
            return Err(format!("a note is about place {}, which there is not", note.place));
        }
        note.text.truncate(note.text.floor_char_boundary(MAX_NOTE_BYTES));
        Ok((note.place, note.text))
    };
    notes.into_iter().take(MAX_NOTES).map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use taja_catalog::policy::Matches;

    fn three_products() -> guest::Candidates {
        let matches = Matches {
            legs: vec![0; 4],
            products: vec![0, 1, 2, 1],
            images: vec![0; 4],
            scores: vec![1.0; 4],
        };
        candidates(Candidates { product_count: 3, matches, ..Candidates::default() }, "{}".into())
    }

    fn good() -> guest::Ranked {
        guest::Ranked {
            products: vec![1, 0],
            scores: vec![2.0, 2.0],
            evidence: vec![3, 1, 0],
            evidence_ends: vec![2, 3],
            notes: vec![guest::Note { place: 1, text: "é".repeat(400) }],
        }
    }

    #[test]
    fn a_proper_order_is_taken_over_and_its_notes_are_cut() {
        let ranking = ranking(good(), &three_products()).unwrap();
        assert_eq!(ranking.products[0], Ranked { product: 1, score: 2.0, evidence: vec![3, 1] });
        assert_eq!(ranking.notes[0].1.len(), MAX_NOTE_BYTES);
    }

    type Spoil = fn(&mut guest::Ranked);

    #[rstest::rstest]
    #[case::foreign_product(|r: &mut guest::Ranked| r.products[0] = 3, "not among")]
    #[case::product_twice(|r: &mut guest::Ranked| r.products[0] = 0, "twice")]
    #[case::nan(|r: &mut guest::Ranked| r.scores[1] = f32::NAN, "not finite")]
    #[case::infinite(|r: &mut guest::Ranked| r.scores[0] = f32::INFINITY, "not finite")]
    #[case::rising(|r: &mut guest::Ranked| r.scores[1] = 3.0, "rises")]
    #[case::missing_score(|r: &mut guest::Ranked| r.scores.truncate(1), "1 scores")]
    #[case::foreign_evidence(|r: &mut guest::Ranked| r.evidence[0] = 2, "no evidence")]
    #[case::evidence_out_of_range(|r: &mut guest::Ranked| r.evidence[0] = 99, "no evidence")]
    #[case::evidence_twice(|r: &mut guest::Ranked| r.evidence[0] = 1, "stands twice")]
    #[case::falling_ends(|r: &mut guest::Ranked| r.evidence_ends = vec![4, 3], "ends before")]
    #[case::uncovered_evidence(|r: &mut guest::Ranked| r.evidence_ends[1] = 2, "do not cover")]
    #[case::note_nowhere(|r: &mut guest::Ranked| r.notes[0].place = 2, "a note")]
    fn an_order_that_cannot_be_is_refused(#[case] spoil: Spoil, #[case] says: &str) {
        let mut ranked = good();
        spoil(&mut ranked);
        let error = ranking(ranked, &three_products()).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn equal_texts_share_a_code_and_missing_ones_have_none() {
        let texts = vec![Some("red".to_owned()), None, Some("blue".to_owned()), Some("red".to_owned())];
        let column = text_column(("color".into(), texts));
        assert_eq!(
            (column.dictionary, column.codes),
            (vec!["red".into(), "blue".into()], vec![0, u32::MAX, 1, 0])
        );
    }
}
