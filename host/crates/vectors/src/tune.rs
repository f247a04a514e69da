//! Measures how many nodes a walk must keep, and what walks and scans cost.

use std::time::{Duration, Instant};

use taja_catalog::Embedding;

use crate::{
    choice::{Chooser, Widths},
    code::Query,
    graph::{FAR, Graph},
    scan::Search,
    shelf::View,
    shortlist::Shortlist,
};

/// Queries to measure with.
const QUERIES: usize = 256;
/// Queries of one scan: they share what is read.
const AT_ONCE: usize = 8;
/// Neighbours to find of each.
pub(crate) const K: usize = 10;
/// The share of them that must be found; more than what is promised, because other queries may be harder.
const RECALL: f64 = 0.998;
/// Widths to try.
const WIDTHS: [usize; 12] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];
/// Widths to try on the upper levels.
const WIDTHS_ABOVE: [usize; 4] = [4, 16, 64, 256];

/// Queries, and the least score of their true neighbours.
struct Trial<'a> {
    chooser: Chooser<'a>,
    graph: &'a Graph,
    view: &'a View,
    queries: Vec<Query>,
    bars: Vec<f32>,
    unwanted: &'a (dyn Fn() -> bool + Sync),
}

/// Sets the widths that find enough in the shortest time, and half as many nodes again on the lowest level: of what is
/// really looked for, a few queries are harder. A graph that finds enough with none is not walked.
pub(crate) fn tune(chooser: Chooser<'_>, graph: &Graph, view: &View, unwanted: &(dyn Fn() -> bool + Sync)) {
    let queries = made_up(view);
    let mut trial = Trial { chooser, graph, view, queries, bars: Vec::new(), unwanted };
    for queries in trial.queries.chunks(AT_ONCE) {
        let found = chooser.scan(&trial.search(queries), unwanted);
        trial.bars.extend(found.iter().map(|found| found.last().map_or(f32::INFINITY, |last| last.score)));
    }
    let tried = WIDTHS_ABOVE.iter().filter_map(|above| trial.least(*above));
    let fastest = tried.min_by_key(|(_, took)| *took);
    if unwanted() {
        return;
    }
    match fastest {
        None => {
            graph.set_widths(0, 0);
            tracing::warn!(vectors = view.len, "no walk finds enough: searches go on to scan");
        }
        Some((Widths { above, here }, _)) => {
            let here = here + here / 2;
            graph.set_widths(above, here);
            // Their visits are noted.
            let _ = (trial.walk(Widths { above, here }), trial.walk(Widths { above, here: here * FAR }));
            tracing::info!(
                vectors = view.len,
                above,
                here,
                visits = graph.visits_for(here as f64),
                "vector graph ready"
            );
        }
    }
}

impl Trial<'_> {
    /// The least width that finds enough with this one above, and how long its walks took.
    fn least(&self, above: usize) -> Option<(Widths, Duration)> {
        let widths = WIDTHS.iter().map(|here| Widths { above, here: *here });
        widths.take_while(|_| !(self.unwanted)() && !self.queries.is_empty()).find_map(|widths| {
            let began = Instant::now();
            let recall = self.recall(widths);
            tracing::debug!(?widths, recall, took = ?began.elapsed(), "walks measured");
            (recall >= RECALL).then(|| (widths, began.elapsed()))
        })
    }

    fn recall(&self, widths: Widths) -> f64 {
        let Some(lists) = self.walk(widths) else { return 0.0 };
        let found = self.search(&self.queries).settle(lists);
        let hits = found.iter().zip(&self.bars);
        let hits = hits.map(|(found, bar)| found.iter().filter(|found| found.score >= *bar).count());
        hits.sum::<usize>() as f64 / (self.queries.len() * K) as f64
    }

    fn walk(&self, widths: Widths) -> Option<Vec<Shortlist>> {
        self.chooser.walk(self.graph, &self.search(&self.queries), widths, usize::MAX, self.unwanted)
    }

    fn search<'a>(&'a self, queries: &'a [Query]) -> Search<'a> {
        Search { kernel: self.chooser.kernel, view: self.view, queries, among: None, k: K }
    }
}

/// Queries that are no rows, but are spread as rows are.
fn made_up(view: &View) -> Vec<Query> {
    let slots = view.rows.slots();
    // Odd, so that they are not all on the upper levels.
    let step = (slots / QUERIES) | 1;
    (0..slots as u32).step_by(step).filter_map(|slot| beside(view, slot)).take(QUERIES).collect()
}

/// A mixture of a row and two of its neighbours. Its weights add up to 1, and so do their squares: among rows that are
/// spread evenly around a centre it is as far from the centre as a row is.
fn beside(view: &View, slot: u32) -> Option<Query> {
    let rows = &view.rows;
    rows.label(slot)?;
    let links: Vec<u32> = view.graph.as_ref()?.links().of(0, slot).collect();
    let known = |link: &u32| (*link as usize) < rows.slots();
    let (last, middle) = (links.last().filter(|link| known(link))?, links[links.len() / 2]);
    let (one, two, three) =
        (rows.decoded(slot), rows.decoded(*last), rows.decoded(Some(middle).filter(known)?));
    let mixed = one.iter().zip(&two).zip(&three).map(|((one, two), three)| 2.0 * (one + two) - three);
    let values: Vec<f32> = mixed.collect();
    let dimension = values.len();
    Some(Query::of(Embedding::normalised(values, dimension).ok()?.as_slice()))
}
