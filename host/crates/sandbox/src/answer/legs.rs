//! Parts for a searching guest, and the legs it answers with.

use std::collections::HashSet;

use taja_catalog::policy::{Content, Leg, Measure, Part};

use super::Checked;
use crate::{
    bindings::search::exports::taja::plugin::searching as guest,
    host::media::{ImageEntry, VideoEntry},
    refusal::Answer,
    state::GuestState,
};

/// Most legs of one answer.
const MAX_LEGS: usize = 16;
/// Longest name of a leg, bytes.
const MAX_NAME_BYTES: usize = 64;

/// The query as the guest sees it, with handles for its media.
pub(crate) fn query(
    state: &mut GuestState,
    parts: &[Part],
    limit: u32,
    settings: String,
) -> Answer<guest::Query> {
    Ok(guest::Query { parts: self::parts(state, parts)?, limit, settings })
}

fn parts(state: &mut GuestState, parts: &[Part]) -> Answer<Vec<guest::Part>> {
    let part = |part: &Part| {
        let content = match &part.content {
            Content::Text(text) => guest::Content::Text(text.clone()),
            Content::Image(picture) => {
                guest::Content::Image(state.give(ImageEntry::of_request(picture.clone()))?)
            }
            Content::Video(video) => guest::Content::Video(state.give(VideoEntry::new(video.clone()))?),
        };
        Ok(guest::Part { modality: part.modality.clone(), content, weight: part.weight })
    };
    parts.iter().map(part).collect()
}

/// The legs, if they are any: names that differ, parts that were asked, finite weights and scores. A leg weighs what its
/// plugin says: that includes the weight of the part. Whether it counts for a product or against it is what the part says:
/// a policy that knows nothing of parts to be unlike does not turn them into the opposite.
pub(crate) fn legs(state: &mut GuestState, legs: Vec<guest::Leg>, parts: &[Part]) -> Checked<Vec<Leg>> {
    if legs.len() > MAX_LEGS {
        return Err(format!("{} legs are more than {MAX_LEGS}", legs.len()));
    }
    let mut names = HashSet::new();
    let mut checked = Vec::with_capacity(legs.len());
    for leg in legs {
        if leg.name.is_empty() || leg.name.len() > MAX_NAME_BYTES || !names.insert(leg.name.clone()) {
            return Err(format!("the leg name {:?} is empty, too long or there twice", shortened(&leg.name)));
        }
        let Some(part) = parts.get(leg.part as usize) else {
            let (name, place, count) = (&leg.name, leg.part, parts.len());
            return Err(format!("leg {name} answers part {place} of {count}"));
        };
        let against = part.weight.is_sign_negative();
        if !leg.weight.is_finite() || (leg.weight < 0.0 && !against) {
            return Err(format!("the weight of leg {} is negative or not finite", leg.name));
        }
        let weight = if against { -leg.weight.abs() } else { leg.weight.abs() };
        let hits = state.take(leg.hits).map_err(|refusal| format!("{:#}", refusal.into_error()))?;
        let hits = state.interner.resolve(&hits);
        if hits.iter().any(|hit| !hit.score.is_finite()) {
            return Err(format!("a score of leg {} is not finite", leg.name));
        }
        let measure = match leg.measure {
            guest::Measure::Cosine => Measure::Cosine,
            guest::Measure::Relevance => Measure::Relevance,
        };
        let modality = part.modality.clone();
        checked.push(Leg { name: leg.name, modality, measure, weight, hits });
    }
    Ok(checked)
}

/// Legs of several plugins together: names that clash get their plugin's name in front.
pub(crate) fn joined(answers: Vec<(String, Vec<Leg>)>) -> Vec<Leg> {
    let all = answers.iter().flat_map(|(_, legs)| legs);
    let (mut seen, mut clashing) = (HashSet::new(), HashSet::new());
    for leg in all {
        if !seen.insert(leg.name.clone()) {
            clashing.insert(leg.name.clone());
        }
    }
    let renamed = |(plugin, legs): (String, Vec<Leg>)| {
        let clashing = &clashing;
        legs.into_iter().map(move |mut leg| {
            if clashing.contains(&leg.name) {
                leg.name = format!("{plugin}/{}", leg.name);
            }
            leg
        })
    };
    answers.into_iter().flat_map(renamed).collect()
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_NAME_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(name: &str) -> Leg {
        Leg {
            name: name.into(),
            modality: "text".into(),
            measure: Measure::Cosine,
            weight: 1.0,
            hits: vec![],
        }
    }

    #[test]
    fn only_clashing_names_get_their_plugin_in_front() {
        let legs = joined(vec![("a".into(), vec![leg("x"), leg("y")]), ("b".into(), vec![leg("x")])]);
        let names: Vec<_> = legs.iter().map(|leg| leg.name.as_str()).collect();
        assert_eq!(names, ["a/x", "y", "b/x"]);
    }
}
