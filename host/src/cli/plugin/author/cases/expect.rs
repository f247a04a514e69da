//! What a plugin must answer, and what is wrong with what it did.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use taja_catalog::{
    policy::{Decision, Leg, Outcome, PolicyFault, Ranking},
    recording::Answer,
};

/// Products of a ranking that are shown.
const SHOWN: usize = 10;

/// Of a ranking.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankExpected {
    /// All products, best first.
    order: Option<Vec<String>>,
    /// The first products.
    first: Option<Vec<String>>,
    /// Texts that the notes of products hold.
    notes: BTreeMap<String, String>,
    /// A text that the plugin's error holds.
    error: Option<String>,
}

/// Of a search.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchExpected {
    /// The products of legs, best first.
    legs: BTreeMap<String, Vec<String>>,
    /// Whether there may be no other legs.
    only: bool,
    /// A text that the plugin's error holds.
    error: Option<String>,
}

/// Of a submission.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestExpected {
    /// `create`, `merge`, `duplicate` or `reject`.
    outcome: Option<String>,
    /// The product it joins or duplicates.
    of: Option<String>,
    /// Places of the pictures to keep.
    keep: Option<Vec<u32>>,
    /// Why pictures are not kept, by their places.
    dropped: BTreeMap<u32, String>,
    /// Fields of the details to store.
    details: Map<String, Value>,
    /// A text that the reason for a refusal holds.
    reason: Option<String>,
    /// A text that the plugin's error holds.
    error: Option<String>,
}

/// What is wrong, and what is to be shown.
type Judged = (Vec<String>, Vec<String>);

/// An error that is or is not expected. The answer when there is one to look at.
fn answered<'a>(
    answer: Result<&'a Answer, &PolicyFault>,
    error: Option<&String>,
) -> Result<&'a Answer, Judged> {
    let answer = answer.map_err(advised);
    match (answer, error) {
        (Ok(answer), None) => Ok(answer),
        (Ok(_), Some(text)) => {
            Err((vec![format!("an error with {text:?} was expected, and it answered")], Vec::new()))
        }
        (Err(fault), Some(text)) if fault.contains(text.as_str()) => Err((Vec::new(), vec![fault])),
        (Err(fault), Some(text)) => {
            Err((vec![format!("an error with {text:?} was expected, and it {fault}")], Vec::new()))
        }
        (Err(fault), None) => Err((vec![format!("it {fault}")], Vec::new())),
    }
}

impl RankExpected {
    /// `names` are the products by their numbers, `plain` is the order without any policy.
    pub fn judge(&self, answer: Result<&Answer, &PolicyFault>, names: &[String], plain: &[u32]) -> Judged {
        let ranking = match answered(answer, self.error.as_ref()) {
            Ok(Answer::Ranking(ranking)) => ranking,
            Ok(_) => return (vec!["it answered with no ranking".into()], Vec::new()),
            Err(judged) => return judged,
        };
        let name = |product: u32| names.get(product as usize).map_or("?", String::as_str);
        let order: Vec<&str> = ranking.products.iter().map(|ranked| name(ranked.product)).collect();
        let mut wrong = Vec::new();
        if let Some(expected) = &self.order {
            differ("order", &order, expected, &mut wrong);
        }
        if let Some(expected) = &self.first {
            differ("first", &order[..expected.len().min(order.len())], expected, &mut wrong);
        }
        for (product, text) in &self.notes {
            let notes = notes(ranking, order.iter().position(|ranked| ranked == product));
            if !notes.iter().any(|note| note.contains(text.as_str())) {
                wrong.push(format!("a note of {product} with {text:?} was expected; it has {notes:?}"));
            }
        }
        (wrong, shown(ranking, &order, plain))
    }
}

/// The notes of the product at a place.
fn notes(ranking: &Ranking, place: Option<usize>) -> Vec<&str> {
    let of_place = |(at, _): &&(u32, String)| Some(*at as usize) == place;
    ranking.notes.iter().filter(of_place).map(|(_, text)| text.as_str()).collect()
}

/// The first places, each with where the product would stand without the policy.
fn shown(ranking: &Ranking, order: &[&str], plain: &[u32]) -> Vec<String> {
    let line = |(place, ranked): (usize, &taja_catalog::policy::Ranked)| {
        let before =
            plain.iter().position(|product| *product == ranked.product).map_or(0, |before| before + 1);
        let notes = notes(ranking, Some(place)).join("; ");
        let line = format!(
            "{:>3}. {:<24} {:>10.5}  was {before:>3}  {notes}",
            place + 1,
            order[place],
            ranked.score
        );
        line.trim_end().to_owned()
    };
    let mut lines: Vec<_> = ranking.products.iter().enumerate().take(SHOWN).map(line).collect();
    let (more, left_out) =
        (ranking.products.len().saturating_sub(SHOWN), plain.len() - ranking.products.len());
    if more > 0 {
        lines.push(format!("     and {more} more"));
    }
    if left_out > 0 {
        lines.push(format!("     {left_out} left out"));
    }
    lines
}

impl SearchExpected {
    pub fn judge(&self, answer: Result<&Answer, &PolicyFault>) -> Judged {
        let legs = match answered(answer, self.error.as_ref()) {
            Ok(Answer::Legs(legs)) => legs,
            Ok(_) => return (vec!["it answered with no legs".into()], Vec::new()),
            Err(judged) => return judged,
        };
        let products = |leg: &Leg| leg.hits.iter().map(|hit| hit.product.to_string()).collect::<Vec<_>>();
        let mut wrong = Vec::new();
        for (name, expected) in &self.legs {
            match legs.iter().find(|leg| leg.name == *name) {
                Some(leg) => differ(&format!("leg {name}"), &products(leg), expected, &mut wrong),
                None => wrong.push(format!("the leg {name} is missing")),
            }
        }
        let others = legs.iter().filter(|leg| self.only && !self.legs.contains_key(&leg.name));
        wrong.extend(others.map(|leg| format!("the leg {} was not expected", leg.name)));
        let line = |leg: &Leg| {
            format!("     {:<20} weight {:.3}  {}", leg.name, leg.weight, products(leg).join(", "))
        };
        (wrong, legs.iter().map(line).collect())
    }
}

impl IngestExpected {
    pub fn judge(&self, answer: Result<&Answer, &PolicyFault>) -> Judged {
        let decision = match answered(answer, self.error.as_ref()) {
            Ok(Answer::Decision(decision)) => decision,
            Ok(_) => return (vec!["it answered with no decision".into()], Vec::new()),
            Err(judged) => return judged,
        };
        let told = Told::of(decision);
        let mut wrong = Vec::new();
        let mut check = |what: &str, found: Option<String>, expected: Option<String>| {
            if expected.is_some() && found != expected {
                wrong.push(format!("{what}: expected {}, found {}", or_nothing(expected), or_nothing(found)));
            }
        };
        check("outcome", Some(told.outcome.to_owned()), self.outcome.clone());
        check("of", told.of.clone(), self.of.clone());
        check(
            "keep",
            told.keep.map(|keep| format!("{keep:?}")),
            self.keep.as_ref().map(|keep| format!("{keep:?}")),
        );
        for (place, reason) in &self.dropped {
            let dropped = decision.dropped.iter().find(|dropped| dropped.index == *place);
            let found = dropped.map(|dropped| plain_word(&dropped.reason));
            check(&format!("dropped {place}"), found, Some(reason.clone()));
        }
        for (field, value) in &self.details {
            check(field, told.details.get(field).map(Value::to_string), Some(value.to_string()));
        }
        if let Some(text) = &self.reason
            && !told.reason.is_some_and(|reason| reason.contains(text.as_str()))
        {
            wrong.push(format!("a reason with {text:?} was expected, found {:?}", told.reason));
        }
        let dropped = decision
            .dropped
            .iter()
            .map(|dropped| format!("     picture {} {}", dropped.index, plain_word(&dropped.reason)));
        let kept = told.keep.map_or_else(String::new, |keep| format!(", keeps {keep:?}"));
        let first =
            format!("     {}{}{kept}", told.outcome, told.of.map_or_else(String::new, |of| format!(" {of}")));
        (wrong, [first].into_iter().chain(dropped).collect())
    }
}

/// A decision in the words of a case.
struct Told<'a> {
    outcome: &'static str,
    of: Option<String>,
    keep: Option<&'a [u32]>,
    details: Map<String, Value>,
    reason: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn of(decision: &'a Decision) -> Self {
        let none = Self { outcome: "", of: None, keep: None, details: Map::new(), reason: None };
        match &decision.outcome {
            Outcome::Create { details, keep, .. } => {
                let details =
                    serde_json::to_value(details).ok().and_then(|details| details.as_object().cloned());
                Self { outcome: "create", keep: Some(keep), details: details.unwrap_or_default(), ..none }
            }
            Outcome::Merge { product, keep } => {
                Self { outcome: "merge", of: Some(product.to_string()), keep: Some(keep), ..none }
            }
            Outcome::Duplicate { of } => Self { outcome: "duplicate", of: Some(of.to_string()), ..none },
            Outcome::Reject { reason } => Self { outcome: "reject", reason: Some(reason), ..none },
        }
    }
}

/// A unit variant as it is written in JSON.
fn plain_word(word: &impl serde::Serialize) -> String {
    serde_json::to_value(word).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn or_nothing(value: Option<String>) -> String {
    value.unwrap_or_else(|| "nothing".into())
}

fn differ<T: AsRef<str>>(what: &str, found: &[T], expected: &[String], wrong: &mut Vec<String>) {
    let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
    if found != *expected {
        wrong.push(format!("{what}: expected {}, found {}", expected.join(", "), found.join(", ")));
    }
}

/// How a call failed, and what its author can do about it.
fn advised(fault: &PolicyFault) -> String {
    let advice = match fault {
        PolicyFault::Timeout { what: "cpu", .. } => {
            "make it compute less, or ask for more time in plugin.toml: `cpu_ms` under [limits]"
        }
        PolicyFault::Timeout { .. } => {
            "make it wait less, or ask for more time in plugin.toml: `wall_ms` under [limits]"
        }
        PolicyFault::Trap(text) if text.contains("memory limit") => {
            "make it hold less, or ask for more memory in plugin.toml: `memory_mib` under [limits]"
        }
        PolicyFault::Trap(_) => {
            "answer with an error instead of ending; what the plugin logs shows with TAJA_LOG=debug"
        }
        PolicyFault::InvalidAnswer(_) => "the comments of the contract in wit/ say what an answer must be",
        PolicyFault::Guest(_) | PolicyFault::Host(_) | PolicyFault::Busy(_) => return fault.to_string(),
    };
    format!("{fault}: {advice}")
}
