//! Chooses how one search is done, by what each way is expected to cost, and does it.

use std::{collections::HashSet, time::Instant};

use parking_lot::RwLock;
use rayon::prelude::*;
use taja_catalog::{ProductId, port::Neighbour};

use crate::{
    code::Query,
    graph::{Graph, Links, Target, Walk},
    kernel::Kernel,
    rates::{Rate, Rates},
    scan::Search,
    shelf::{Shelf, View},
    shortlist::Shortlist,
    tune::K,
};

/// How much cheaper than the exact way a walk must be: it may give up, and then both are paid.
const GAIN: f64 = 2.0;

/// How a search was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Every row, or every row of the products asked for, was looked at.
    Exact,
    /// The graph was walked.
    Graph,
}

/// How many nodes a walk keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Widths {
    /// On the upper levels, where whole groups of rows are found or missed, however many are asked for.
    pub(crate) above: usize,
    /// On the lowest level.
    pub(crate) here: usize,
}

/// What a search is asked.
pub(crate) struct Request<'a> {
    /// What it looks for.
    pub(crate) queries: &'a [Query],
    /// The products to look at, if not all.
    pub(crate) among: Option<&'a HashSet<ProductId>>,
    /// How many of each.
    pub(crate) k: usize,
    /// Whether nobody waits for the answer any more.
    pub(crate) unwanted: &'a (dyn Fn() -> bool + Sync),
    /// Whether the way is chosen, or told.
    pub(crate) way: Way,
}

/// How a search is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As is cheapest.
    Cheapest,
    /// Over every row that is asked for.
    Exact,
    /// Through the graph, where there is one, keeping so many nodes on the lowest level.
    Walk(usize),
}

/// The means of a search.
#[derive(Clone, Copy)]
pub(crate) struct Chooser<'a> {
    /// How it computes.
    pub(crate) kernel: Kernel,
    /// What things cost.
    pub(crate) rates: &'a Rates,
    /// Shops of this size are walked, whatever it costs.
    pub(crate) walk_from: Option<usize>,
}

impl Method {
    /// Its name in health reports and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Graph => "graph",
        }
    }
}

impl Chooser<'_> {
    /// The nearest of every query, best first, and how they were found.
    pub(crate) fn search(&self, shelf: &RwLock<Shelf>, asked: &Request<'_>) -> (Vec<Vec<Neighbour>>, Method) {
        // Recursive: a search does not queue behind a writer that itself waits.
        let view = shelf.read_recursive().view();
        let search = Search {
            kernel: self.kernel,
            view: &view,
            queries: asked.queries,
            among: asked.among,
            k: asked.k,
        };
        let tuned = view.graph.as_ref().filter(|graph| graph.width() > 0 && asked.way != Way::Exact);
        if let (Some(graph), Way::Walk(here)) = (tuned, asked.way) {
            let widths = Widths { above: graph.width_above(), here };
            if let Some(lists) = self.walk(graph, &search, widths, usize::MAX, asked.unwanted) {
                return (search.settle(lists), Method::Graph);
            }
        } else if let Some(graph) = tuned {
            let (exact, walk) = (self.exact_cost(&view, asked), self.walk_cost(graph, &view, asked));
            if walk * GAIN < exact || self.rates.is_time_to_try() || self.walk_from.is_some() {
                // Then it gives up, and the exact way is gone.
                let most = match self.walk_from {
                    Some(_) => usize::MAX,
                    None => self.visits_for(exact / GAIN, asked),
                };
                let widths = Widths { above: graph.width_above(), here: width(graph, asked) };
                if let Some(lists) = self.walk(graph, &search, widths, most, asked.unwanted) {
                    return (search.settle(lists), Method::Graph);
                }
            }
        }
        (self.exact(&search, shelf, asked), Method::Exact)
    }

    /// Nanoseconds of the cheaper exact way.
    fn exact_cost(&self, view: &View, asked: &Request<'_>) -> f64 {
        self.scan_cost(view, asked).min(self.list_cost(view, asked))
    }

    fn scan_cost(&self, view: &View, asked: &Request<'_>) -> f64 {
        self.rates.scan.nanoseconds() * (view.rows.slots() * asked.queries.len()) as f64
    }

    fn list_cost(&self, view: &View, asked: &Request<'_>) -> f64 {
        let Some(among) = asked.among else { return f64::INFINITY };
        let rows = (view.len * asked.queries.len()) as f64 / view.products.max(1) as f64;
        among.len() as f64 * (self.rates.look_up.nanoseconds() + rows * self.rates.list.nanoseconds())
    }

    fn walk_cost(&self, graph: &Graph, view: &View, asked: &Request<'_>) -> f64 {
        let visits = expected_visits(graph, view, asked.among, width(graph, asked));
        let walks = visits * self.visit(asked.among).nanoseconds() * rounds(asked.queries.len());
        let pending = (view.pending.len() * asked.queries.len()) as f64;
        walks + pending * self.rates.list.nanoseconds()
    }

    fn visits_for(&self, nanoseconds: f64, asked: &Request<'_>) -> usize {
        (nanoseconds / rounds(asked.queries.len()) / self.visit(asked.among).nanoseconds()) as usize
    }

    fn visit(&self, among: Option<&HashSet<ProductId>>) -> &Rate {
        if among.is_some() { &self.rates.visit_among } else { &self.rates.visit }
    }

    /// Walks for every query, and looks at what the graph does not know yet. Nothing when a walk gave up, or found less
    /// than there may be.
    pub(crate) fn walk(
        &self,
        graph: &Graph,
        search: &Search<'_>,
        widths: Widths,
        most: usize,
        unwanted: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<Shortlist>> {
        let links = graph.links();
        let walks = search.queries.par_iter().map(|query| {
            if unwanted() {
                return None;
            }
            let (list, visits) = self.walk_one(&links, search, query, widths, most);
            if let Some(among) = search.among {
                let expected = expected_visits(graph, search.view, search.among, widths.here);
                graph.note_stray(share(search.view, among), visits, expected, list.is_some());
            } else if widths.above == graph.width_above() {
                graph.note_visits(widths.here, visits);
            }
            list
        });
        let mut lists = walks.collect::<Option<Vec<_>>>()?;
        if !search.view.pending.is_empty() {
            let pending = search.listed(&search.view.pending, unwanted);
            // What is being linked is found by walks already.
            lists =
                lists.into_iter().zip(pending).map(|(near, pending)| near.merge_distinct(pending)).collect();
        }
        let enough = search.k.min(search.view.len);
        lists.iter().all(|list| list.len() >= enough).then_some(lists)
    }

    fn walk_one(
        &self,
        links: &Links,
        search: &Search<'_>,
        query: &Query,
        widths: Widths,
        most: usize,
    ) -> (Option<Shortlist>, usize) {
        let began = Instant::now();
        let rows = &search.view.rows;
        let mut walk = Walk::new(self.kernel, rows, links);
        walk.descend(Target::Query(query), 0, widths.above);
        let done = walk.spread(Target::Query(query), 0, widths.here, &|slot| search.admits(slot), most);
        self.visit(search.among).note(walk.visits, began.elapsed());
        let mut list = Shortlist::new(search.k);
        for met in walk.met().iter().filter(|met| met.admitted) {
            let (segment, row) = rows.at(met.slot);
            list.offer(met.score, query.doubt(segment.rest(row)), met.slot);
        }
        (done.then_some(list), walk.visits)
    }

    fn exact(&self, search: &Search<'_>, shelf: &RwLock<Shelf>, asked: &Request<'_>) -> Vec<Vec<Neighbour>> {
        let list_is_cheaper = self.list_cost(search.view, asked) < self.scan_cost(search.view, asked);
        match asked.among.filter(|_| list_is_cheaper) {
            Some(among) => self.listed(shelf, *search, among, asked.unwanted),
            None => self.scan(search, asked.unwanted),
        }
    }

    /// Looks at every row.
    pub(crate) fn scan(
        &self,
        search: &Search<'_>,
        unwanted: &(dyn Fn() -> bool + Sync),
    ) -> Vec<Vec<Neighbour>> {
        let began = Instant::now();
        let lists = search.all(unwanted);
        if !unwanted() {
            self.rates.scan.note(search.view.rows.slots() * search.queries.len(), began.elapsed());
        }
        search.settle(lists)
    }

    fn listed(
        &self,
        shelf: &RwLock<Shelf>,
        search: Search<'_>,
        among: &HashSet<ProductId>,
        unwanted: &(dyn Fn() -> bool + Sync),
    ) -> Vec<Vec<Neighbour>> {
        let began = Instant::now();
        // Taken again, together with the list: slots of an older view may be others' by now.
        let (view, slots) = {
            let shelf = shelf.read_recursive();
            let slots: Vec<u32> = among.iter().flat_map(|product| shelf.slots_of(product)).copied().collect();
            (shelf.view(), slots)
        };
        self.rates.look_up.note(among.len(), began.elapsed());
        let search = Search { view: &view, ..search };
        let began = Instant::now();
        let lists = search.listed(&slots, unwanted);
        if !unwanted() {
            self.rates.list.note(slots.len() * search.queries.len(), began.elapsed());
        }
        search.settle(lists)
    }
}

/// Nodes that a walk keeps: what finds as many as were measured well enough, and five for every four more; twice as
/// many with a filter, whose rows lie farther from the query and from each other.
fn width(graph: &Graph, asked: &Request<'_>) -> usize {
    let more = asked.k.saturating_sub(K);
    let width = graph.width().max(asked.k.min(K)).saturating_add(more).saturating_add(more / 4);
    if asked.among.is_some() { width.saturating_mul(2) } else { width }
}

/// Visits to expect of a walk: with a filter it goes on until it kept as many that are asked for, and farther when what
/// is asked for lies elsewhere than near the query.
fn expected_visits(graph: &Graph, view: &View, among: Option<&HashSet<ProductId>>, width: usize) -> f64 {
    let Some(among) = among else { return graph.visits_for(width as f64) };
    let share = share(view, among);
    graph.visits_for(width as f64 / share) * graph.stray(share)
}

/// The share of the products that is asked for.
fn share(view: &View, among: &HashSet<ProductId>) -> f64 {
    (among.len() as f64 / view.products.max(1) as f64).clamp(1e-6, 1.0)
}

/// Walks that come one after the other when so many are done by all threads.
fn rounds(queries: usize) -> f64 {
    queries.div_ceil(rayon::current_num_threads()) as f64
}
