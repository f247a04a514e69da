//! Journeys through the queue: real files, real workers, real deaths.

#![allow(clippy::unwrap_used, reason = "a journey that cannot go on should stop where it is")]

mod kill;
mod leases;
mod leaving;
mod stage;
mod worker;
