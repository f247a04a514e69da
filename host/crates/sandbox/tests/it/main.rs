//! The sandbox with real guests: those of `fixtures/`, built when they are first needed, and a few in text form.

#[path = "../../fixtures/component.rs"]
mod component;
mod drain;
mod fakes;
mod following;
mod guests;
mod hostile;
mod ingest;
mod judging;
mod life;
mod loading;
mod rank;
mod replay;
mod search;
mod store;
