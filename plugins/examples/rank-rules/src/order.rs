//! The order of products by the rules.

use taja_plugin::rank::{Candidates, Texts};

use crate::settings::{FIELDS, Rule, Settings};

/// Where a product stands, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its number.
    pub product: u32,
    /// What it is worth: 0 to 1 before it is boosted.
    pub score: f64,
    /// What moved it, in the order of the rules.
    pub notes: Vec<String>,
}

/// Groups of products that stand one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Usual,
    OutOfStock,
    Buried,
}

/// Every product that some leg found that counts for it, best first.
pub fn order(candidates: &Candidates, settings: &Settings) -> Result<Vec<Standing>, String> {
    let rules = Conditions::of(candidates)?;
    let mut standings = Vec::new();
    let best = candidates.best();
    for (product, fused) in candidates.products().zip(best.fused(settings.k)) {
        if best.brought(product) {
            standings.push(placed(product, fused, candidates, &rules, settings)?);
        }
    }
    // Of equal scores the product with the smaller number: the sort keeps the order it finds.
    standings.sort_by(|(a, one), (b, other)| a.cmp(b).then(other.score.total_cmp(&one.score)));
    let standings = standings.into_iter().map(|(_, standing)| standing).collect();
    Ok(pinned(standings, &rules, &settings.pin))
}

/// The columns that rules look at.
struct Conditions<'a>(Vec<(&'static str, Texts<'a>)>);

impl<'a> Conditions<'a> {
    fn of(candidates: &'a Candidates) -> Result<Self, String> {
        let column = |field| Ok((field, candidates.text(field)?));
        FIELDS.into_iter().map(column).collect::<Result<_, String>>().map(Self)
    }

    fn hold<T>(&self, rule: &Rule<T>, product: u32) -> bool {
        let column = self.0.iter().find(|(field, _)| *field == rule.field);
        let text = column.and_then(|(_, column)| column.get(product));
        text.is_some_and(|text| text.eq_ignore_ascii_case(&rule.is))
    }
}

/// The tier and the score of one product, before anything is pinned.
fn placed(
    product: u32,
    fused: f64,
    candidates: &Candidates,
    rules: &Conditions<'_>,
    settings: &Settings,
) -> Result<(Tier, Standing), String> {
    let margin = candidates.number("attributes.margin")?.get(product).unwrap_or(0.0).clamp(0.0, 1.0);
    let score = (1.0 - settings.margin_weight) * fused + settings.margin_weight * margin;
    let mut standing = Standing { product, score, notes: Vec::new() };
    for rule in settings.boost.iter().filter(|rule| rules.hold(rule, product)) {
        standing.score *= rule.with;
        standing.notes.push(format!("boosted by {}", rule.name));
    }
    let mut tier = Tier::Usual;
    if settings.in_stock_first && candidates.number("stock")?.get(product) == Some(0.0) {
        tier = Tier::OutOfStock;
        standing.notes.push("out of stock".to_owned());
    }
    if let Some(rule) = settings.bury.iter().find(|rule| rules.hold(rule, product)) {
        tier = Tier::Buried;
        standing.notes.push(format!("buried by {}", rule.name));
    }
    Ok((tier, standing))
}

/// The order with every pinned product at its place, or behind those of the same place that come first.
fn pinned(standings: Vec<Standing>, rules: &Conditions<'_>, pins: &[Rule<u32>]) -> Vec<Standing> {
    let mut by_place: Vec<_> = pins.iter().collect();
    by_place.sort_by_key(|rule| rule.with);
    let place_of = |product| by_place.iter().position(|rule| rules.hold(rule, product));
    let mut rest = Vec::with_capacity(standings.len());
    let mut taken = Vec::new();
    for mut standing in standings {
        match place_of(standing.product) {
            None => rest.push(standing),
            Some(at) => {
                let rule = by_place[at];
                standing.notes.push(format!("pinned to place {} by {}", rule.with, rule.name));
                taken.push((at, standing));
            }
        }
    }
    taken.sort_by_key(|(at, _)| *at);
    let mut free = 0;
    for (at, standing) in taken {
        let place = free.max(by_place[at].with as usize - 1).min(rest.len());
        rest.insert(place, standing);
        free = place + 1;
    }
    rest
}
