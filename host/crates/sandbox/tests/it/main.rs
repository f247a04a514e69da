//! The sandbox with real guests: those of `fixtures/`, built when they are first needed, and a few in text form.

mod fakes;
mod guests;
mod ingest;
mod loading;
mod rank;
mod search;
