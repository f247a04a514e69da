//! The default ranking policy: reciprocal-rank fusion, one row per product, similarity thresholds on cosines.

pub mod answer;
pub mod fusion;
pub mod settings;

use taja_plugin::rank::{Candidates, Guest, Note, Ranked};

/// The component.
pub struct RankDefault;

impl Guest for RankDefault {
    fn rank(candidates: Candidates) -> Result<Ranked, String> {
        let settings = settings::Settings::parse(&candidates.settings).map_err(|error| error.to_string())?;
        let legs: Vec<_> = candidates
            .legs
            .iter()
            .map(|leg| fusion::Leg {
                name: &leg.name,
                modality: &leg.modality,
                cosine: leg.cosine,
                weight: leg.weight,
            })
            .collect();
        let matches = fusion::Matches {
            legs: &candidates.matches.legs,
            products: &candidates.matches.products,
            images: &candidates.matches.images,
            scores: &candidates.matches.scores,
        };
        let ranking = answer::rank(&legs, candidates.product_count, &matches, candidates.limit, &settings)?;
        Ok(Ranked {
            products: ranking.products,
            scores: ranking.scores,
            evidence: ranking.evidence,
            evidence_ends: ranking.evidence_ends,
            notes: ranking.notes.into_iter().map(|(place, text)| Note { place, text }).collect(),
        })
    }
}

taja_plugin::rank::export!(RankDefault);
