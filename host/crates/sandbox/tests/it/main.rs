//! The sandbox with real guests: those of `fixtures/`, built when they are first needed, and a few in text form.

#[path = "../../fixtures/component.rs"]
mod component;
mod contract;
mod drain;
mod fakes;
mod following;
mod gate;
mod guests;
mod hostile;
mod ingest;
mod judging;
mod life;
mod limits;
mod loading;
mod measures;
mod rank;
mod refusals;
mod replay;
mod search;
mod signing;
mod store;
mod traces;
