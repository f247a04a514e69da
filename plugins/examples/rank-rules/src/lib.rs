//! A ranking policy made of business rules: the legs are fused, then what is in stock stands first, and a shop's rules
//! boost, bury and pin products.

pub mod order;
pub mod settings;

use settings::Settings;
use taja_plugin::rank::{Answer, Candidates, Guest, Ranked};

/// The component.
pub struct RankRules;

impl Guest for RankRules {
    fn rank(candidates: Candidates) -> Result<Ranked, String> {
        let settings = Settings::parse(&candidates.settings).map_err(|error| error.to_string())?;
        let mut answer = Answer::to(&candidates);
        for standing in order::order(&candidates, &settings)? {
            let place = answer.put(standing.product, standing.score)?;
            for note in standing.notes {
                place.note(note);
            }
        }
        Ok(answer.finish_in_order())
    }
}

taja_plugin::rank::export!(RankRules);

#[cfg(test)]
mod tests;
