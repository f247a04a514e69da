//! How good searches are by what people judged: the judgements, the measures, and how sure they are.

pub mod bootstrap;
pub mod figures;
pub mod judgements;
mod measures;
