//! Answers of guests, turned into the host's types. Nothing in them is believed.

pub(crate) mod decision;
pub(crate) mod legs;
pub(crate) mod ranking;

/// What is wrong with an answer.
pub(crate) type Checked<T> = Result<T, String>;
