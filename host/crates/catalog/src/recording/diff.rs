//! How a replayed answer differs from the recorded one, or one plugin's order from another's.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use serde::Serialize;
use serde_json::Value;

use super::Answer;
use crate::policy::{Leg, Ranking};

/// How two answers differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// Whether every bit is the same: order, scores, evidence, notes, weights.
    pub identical: bool,
    /// The ranking, or each leg by its name.
    pub orders: Vec<OrderDiff>,
    /// Both answers, when they differ and are not both orders: decisions, faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
}

/// Two answers that are no orders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answers {
    /// The one.
    pub recorded: Value,
    /// The other.
    pub replayed: Value,
}

/// How two orders differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderDiff {
    /// `ranking`, or the leg's name.
    pub name: String,
    /// See [`overlap_of_first_ten`].
    pub overlap_of_first_ten: f64,
    /// See [`score_distance`].
    pub score_distance: Option<f64>,
    /// What moved, entered or left by its new place, then what has another score at the same place.
    pub changes: Vec<Change>,
}

/// Something that stands elsewhere, or has another score. Places count from 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `#3` for product 3 of a ranking, the product's identifier and the beginning of its image's hash for a match.
    pub what: String,
    /// Its place in the recorded order; none when it entered.
    pub from: Option<usize>,
    /// Its place in the replayed order; none when it left.
    pub to: Option<usize>,
    /// Its recorded score.
    pub recorded_score: Option<f32>,
    /// Its replayed score.
    pub replayed_score: Option<f32>,
}

/// How deep two orders are compared.
const DEPTH: usize = 10;

/// How alike the first ten places of two orders are, 0 to 1: average overlap, the mean over the depths 1 to 10 of the part
/// that both have in common down to there (Webber, Moffat, Zobel: A similarity measure for indefinite rankings, TOIS
/// 28, 2010). So the first places count most, and the same ten backwards are 0.35. Of orders shorter than ten the
/// longer one says how deep; two empty ones are the same. What stands in an order twice counts at its better place.
pub fn overlap_of_first_ten<K: Eq + Hash>(one: &[K], other: &[K]) -> f64 {
    let (one, other) = (first_places(one), first_places(other));
    let depth = one.len().max(other.len());
    if depth == 0 {
        return 1.0;
    }
    let (mut seen_in_one, mut seen_in_other) = (HashSet::<&K>::new(), HashSet::<&K>::new());
    let (mut common, mut sum) = (0, 0.0);
    for place in 0..depth {
        let (a, b) = (one.get(place), other.get(place));
        seen_in_one.extend(a);
        seen_in_other.extend(b);
        // What stands at this place in both is one thing in common, not two.
        common += usize::from(a.is_some_and(|key| seen_in_other.contains(key)));
        common += usize::from(a != b && b.is_some_and(|key| seen_in_one.contains(key)));
        sum += common as f64 / (place + 1) as f64;
    }
    sum / depth as f64
}

/// The first ten of what stands in an order, each once.
fn first_places<K: Eq + Hash>(order: &[K]) -> Vec<&K> {
    let mut seen = HashSet::new();
    order.iter().filter(|key| seen.insert(*key)).take(DEPTH).collect()
}

/// The mean absolute difference of the scores of what both orders have; none when they have nothing in common.
pub fn score_distance<K: Eq + Hash>(one: &[(K, f32)], other: &[(K, f32)]) -> Option<f64> {
    let (one, other) = (Places::of(one), Places::of(other));
    let common = one.0.iter().filter_map(|(key, (_, a))| Some((*a, other.0.get(key)?.1)));
    // Equal infinities are not apart.
    let apart = |(a, b): (f32, f32)| if a == b { 0.0 } else { (f64::from(a) - f64::from(b)).abs() };
    let distances: Vec<f64> = common.map(apart).collect();
    (!distances.is_empty()).then(|| distances.iter().sum::<f64>() / distances.len() as f64)
}

/// Place, from 1, and score; the best one of what stands in an order twice.
struct Places<'a, K>(HashMap<&'a K, (usize, f32)>);

impl<'a, K: Eq + Hash> Places<'a, K> {
    fn of(order: &'a [(K, f32)]) -> Self {
        let mut places = HashMap::with_capacity(order.len());
        for (place, (key, score)) in (1..).zip(order) {
            places.entry(key).or_insert((place, *score));
        }
        Self(places)
    }
}

impl OrderDiff {
    /// Compares two orders, best first.
    pub fn between<K: Eq + Hash + Clone>(
        name: &str,
        recorded: &[(K, f32)],
        replayed: &[(K, f32)],
        label: impl Fn(&K) -> String,
    ) -> Self {
        let keys = |order: &[(K, f32)]| order.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        Self {
            name: name.to_owned(),
            overlap_of_first_ten: overlap_of_first_ten(&keys(recorded), &keys(replayed)),
            score_distance: score_distance(recorded, replayed),
            changes: changes(recorded, replayed, label),
        }
    }
}

fn changes<K: Eq + Hash>(
    recorded: &[(K, f32)],
    replayed: &[(K, f32)],
    label: impl Fn(&K) -> String,
) -> Vec<Change> {
    let (before, after) = (Places::of(recorded), Places::of(replayed));
    let all: HashSet<&K> = before.0.keys().chain(after.0.keys()).copied().collect();
    let change = |key| {
        let (from, to) = (before.0.get(key), after.0.get(key));
        Change {
            what: label(key),
            from: from.map(|from| from.0),
            to: to.map(|to| to.0),
            recorded_score: from.map(|from| from.1),
            replayed_score: to.map(|to| to.1),
        }
    };
    let bits = |score: Option<f32>| score.map(f32::to_bits);
    let differs = |change: &Change| {
        change.from != change.to || bits(change.recorded_score) != bits(change.replayed_score)
    };
    let mut changes: Vec<_> = all.into_iter().map(change).filter(differs).collect();
    changes.sort_by_key(|change| (change.from == change.to, change.to.unwrap_or(usize::MAX), change.from));
    changes
}

const WRITABLE: &str = "answers hold nothing that JSON cannot";

impl Diff {
    /// Compares two answers of one kind of policy.
    pub fn between(recorded: &Answer, replayed: &Answer) -> Self {
        // As text and not as values: those take -0 for 0. No bit is lost on the way to the text.
        let text = |answer| serde_json::to_string(answer).expect(WRITABLE);
        let identical = text(recorded) == text(replayed);
        let value = |answer| serde_json::to_value(answer).expect(WRITABLE);
        let both = || Answers { recorded: value(recorded), replayed: value(replayed) };
        let (orders, answers) = match (recorded, replayed) {
            (Answer::Ranking(one), Answer::Ranking(other)) => (vec![rankings(one, other)], None),
            (Answer::Legs(one), Answer::Legs(other)) => (legs(one, other), None),
            _ if identical => (Vec::new(), None),
            _ => (Vec::new(), Some(both())),
        };
        Self { identical, orders, answers }
    }
}

fn rankings(recorded: &Ranking, replayed: &Ranking) -> OrderDiff {
    let order = |ranking: &Ranking| -> Vec<_> {
        ranking.products.iter().map(|ranked| (ranked.product, ranked.score)).collect()
    };
    OrderDiff::between("ranking", &order(recorded), &order(replayed), |product| format!("#{product}"))
}

fn legs(recorded: &[Leg], replayed: &[Leg]) -> Vec<OrderDiff> {
    let of = |legs: &[Leg], name: &str| -> Vec<_> {
        let leg = legs.iter().filter(|leg| leg.name == name).take(1);
        leg.flat_map(|leg| &leg.hits).map(|hit| ((hit.product.clone(), hit.image), hit.score)).collect()
    };
    let added = replayed.iter().filter(|leg| recorded.iter().all(|known| known.name != leg.name));
    let names = recorded.iter().chain(added).map(|leg| &leg.name);
    let diff = |name: &String| {
        OrderDiff::between(name, &of(recorded, name), &of(replayed, name), |(product, image)| match image {
            Some(image) => format!("{product} {}", &image.to_string()[..8]),
            None => product.to_string(),
        })
    };
    names.map(diff).collect()
}
