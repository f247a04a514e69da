//! Answers of guests, turned into the host's types. Nothing in them is believed.

pub(crate) mod decision;
#[cfg(test)]
mod fuzz;
pub(crate) mod legs;
pub(crate) mod ranking;

/// What is wrong with an answer.
pub(crate) type Checked<T> = Result<T, String>;
