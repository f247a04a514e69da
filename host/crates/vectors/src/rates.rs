//! What things cost on this machine: running averages of what was measured. They choose between scan and graph.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How much a new measurement counts.
const WEIGHT: f64 = 1.0 / 8.0;
/// One search of so many tries the way that is thought to be the dearer one.
const TRY_EVERY: u64 = 64;
/// Units below which a measurement says more about the clock than about the machine.
const UNITS_AT_LEAST: usize = 256;

/// A running average of nanoseconds per unit. Two that are noted at once may count as one.
#[derive(Debug)]
pub(crate) struct Rate(AtomicU64);

impl Rate {
    /// A first guess, replaced by the first measurement's side.
    fn guess(nanoseconds: f64) -> Self {
        // The sign marks a guess.
        Self(AtomicU64::new((-nanoseconds).to_bits()))
    }

    /// Nanoseconds of one unit.
    pub(crate) fn nanoseconds(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed)).abs()
    }

    /// So many units took so long.
    pub(crate) fn note(&self, units: usize, took: Duration) {
        if units < UNITS_AT_LEAST {
            return;
        }
        let (new, old) =
            (took.as_nanos() as f64 / units as f64, f64::from_bits(self.0.load(Ordering::Relaxed)));
        // What was interrupted took many times as long: no single measurement counts for more than twice the average.
        let average = if old < 0.0 { new } else { old + (new.min(old * 2.0) - old) * WEIGHT };
        self.0.store(average.to_bits(), Ordering::Relaxed);
    }
}

/// The costs that the choice is made by. All are wall-clock time, as a search that is under way meets it.
#[derive(Debug)]
pub(crate) struct Rates {
    /// A row in a scan of all rows, with one query.
    pub(crate) scan: Rate,
    /// A row of a list, with one query.
    pub(crate) list: Rate,
    /// Finding a product's rows.
    pub(crate) look_up: Rate,
    /// A row that a walk over the graph compares.
    pub(crate) visit: Rate,
    /// The same where it also asks whether the row's product is asked for.
    pub(crate) visit_among: Rate,
    /// Searches for which a walk was thought too dear.
    spurned: AtomicU64,
}

impl Rates {
    /// Guesses for rows of this many lines, of the order of what a machine of 2024 does.
    pub(crate) fn guess(lines: usize) -> Self {
        let lines = lines as f64;
        Self {
            scan: Rate::guess(2.0 * lines),
            list: Rate::guess(10.0 + 4.0 * lines),
            look_up: Rate::guess(100.0),
            visit: Rate::guess(30.0 + 6.0 * lines),
            visit_among: Rate::guess(130.0 + 6.0 * lines),
            spurned: AtomicU64::new(0),
        }
    }

    /// Whether a walk that is thought too dear is tried nevertheless: else a wrong rate would never be corrected.
    pub(crate) fn is_time_to_try(&self) -> bool {
        self.spurned.fetch_add(1, Ordering::Relaxed) % TRY_EVERY == TRY_EVERY - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_measurement_replaces_the_guess_and_later_ones_are_averaged() {
        let rate = Rate::guess(1000.0);
        assert_eq!(rate.nanoseconds(), 1000.0);
        rate.note(1000, Duration::from_micros(8));
        assert_eq!(rate.nanoseconds(), 8.0);
        rate.note(1000, Duration::from_micros(16));
        assert_eq!(rate.nanoseconds(), 9.0);
        rate.note(1, Duration::from_secs(1));
        assert_eq!(rate.nanoseconds(), 9.0);
    }
}
