//! How good searches are by what people judged: the judgements, the measures, and how sure they are.

pub mod bootstrap;
mod evaluate;
pub mod figures;
pub mod judgements;
mod measures;

pub use evaluate::{Column, Evaluate, Evaluation, Verdict};
