//! When a choice is to be withdrawn: it fails again and again, or takes much longer than the one it is to replace.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use taja_catalog::{plugins::Slot, policy::PolicyFault};

/// Calls that are looked back on for failures.
const WINDOW: usize = 20;
/// Failures among them that are too many. One may be bad luck; a policy that is broken fails more often.
const FAILURES: usize = 3;
/// Calls whose times are looked back on: so many that a few odd ones do not matter, so few that a policy that turns slow
/// is soon seen to be.
const TIMES: usize = 100;
/// Calls of both sides before their times are compared.
const ENOUGH: usize = 50;
/// How many times as long it may take, for half of the calls and for nine of ten: a busy machine that stops for a moment makes
/// a fifth of them long, not half.
const SLOWER: u32 = 4;
/// What is never too long: the clock of a busy machine is not that exact.
const QUICK: Duration = Duration::from_millis(5);

/// How long the last calls of one choice took.
#[derive(Default)]
pub(crate) struct Pace(Mutex<VecDeque<Duration>>);

impl Pace {
    pub(crate) fn note(&self, took: Duration) {
        let mut times = self.0.lock();
        if times.len() == TIMES {
            times.pop_front();
        }
        times.push_back(took);
    }

    /// Within which times five and nine calls of ten ended, once there were enough.
    fn of_ten(&self) -> Option<[Duration; 2]> {
        let mut times: Vec<_> = self.0.lock().iter().copied().collect();
        times.sort_unstable();
        let within = |calls: usize| times[(times.len() * calls).div_ceil(10) - 1];
        (times.len() >= ENOUGH).then(|| [within(5), within(9)])
    }
}

/// Looks at the last calls of one choice, since it has been watched.
#[derive(Default)]
pub(crate) struct Watch {
    recent: Mutex<Recent>,
    pace: Pace,
}

#[derive(Default)]
struct Recent {
    /// Whether each failed, oldest first.
    failed: VecDeque<bool>,
    withdrawn: bool,
}

impl Watch {
    /// Notes how a call went, and how long it took if it ran. Why the choice is to be withdrawn, once, when this was too
    /// much. `other` is the choice that it is to replace.
    pub(crate) fn note(
        &self,
        failure: Option<&PolicyFault>,
        took: Option<Duration>,
        other: Option<&Pace>,
    ) -> Option<String> {
        took.inspect(|took| self.pace.note(*took));
        let mut recent = self.recent.lock();
        recent.failed.push_back(failure.is_some());
        if recent.failed.len() > WINDOW {
            recent.failed.pop_front();
        }
        if recent.withdrawn {
            return None;
        }
        let failures = recent.failed.iter().filter(|failed| **failed).count();
        let reason = match failure {
            Some(fault) if failures >= FAILURES => Some(format!(
                "{failures} of its last {} calls failed; the last one {fault}",
                recent.failed.len()
            )),
            _ => other.and_then(|other| self.too_slow(other)),
        };
        recent.withdrawn = reason.is_some();
        reason
    }

    fn too_slow(&self, other: &Pace) -> Option<String> {
        let ([half, this], [other_half, other]) = (self.pace.of_ten()?, other.of_ten()?);
        (this > (other * SLOWER).max(QUICK) && half > other_half * SLOWER).then(|| {
            format!("nine calls of ten take up to {this:?}; those of the choice it replaces take {other:?}")
        })
    }

    /// Whether it is to be withdrawn.
    pub(crate) fn is_over(&self) -> bool {
        self.recent.lock().withdrawn
    }
}

/// Whether a policy is to blame for this, and another one may do better.
pub(crate) fn is_failure(fault: &PolicyFault) -> bool {
    matches!(fault, PolicyFault::Trap(_) | PolicyFault::Timeout { .. } | PolicyFault::InvalidAnswer(_))
}

/// Whether this counts against the policy of a slot. An error is an answer, except to a shopper who waits for an order.
pub(crate) fn counts(slot: &Slot, fault: &PolicyFault) -> bool {
    is_failure(fault) || (*slot == Slot::Rank && matches!(fault, PolicyFault::Guest(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);
    const SLOW: Duration = Duration::from_millis(100);

    fn paced(calls: usize, took: Duration) -> Pace {
        let pace = Pace::default();
        (0..calls).for_each(|_| pace.note(took));
        pace
    }

    #[test]
    fn the_third_failure_in_twenty_calls_is_too_much_and_is_told_once() {
        let (watch, trap) = (Watch::default(), PolicyFault::Trap("ouch".into()));
        for call in 0..60 {
            let failure = (call % 10 == 0).then_some(&trap);
            assert_eq!(watch.note(failure, None, None), None, "never more than two");
        }
        assert_eq!(watch.note(Some(&trap), None, None), None, "two in the last twenty");
        assert!(watch.note(Some(&trap), None, None).is_some_and(|reason| reason.contains("ouch")));
        assert!(watch.is_over());
        assert_eq!(watch.note(Some(&trap), None, None), None);
    }

    #[test]
    fn what_was_quick_for_long_is_noticed_when_it_turns_slow() {
        let (watch, other) = (Watch::default(), paced(TIMES, FAST));
        for _ in 0..10_000 {
            assert_eq!(watch.note(None, Some(FAST), Some(&other)), None);
        }
        let slow = (1..=TIMES).find(|_| watch.note(None, Some(SLOW), Some(&other)).is_some());
        assert_eq!(slow, Some(TIMES / 2 + 1), "the first that is more than half");
    }

    #[test]
    fn a_machine_that_stops_now_and_then_is_nobodys_fault() {
        let (watch, other) = (Watch::default(), paced(TIMES, FAST));
        for call in 0..1000 {
            let took = if call % 5 < 2 { SLOW } else { FAST };
            assert_eq!(watch.note(None, Some(took), Some(&other)), None);
        }
    }

    #[test]
    fn times_are_compared_once_there_are_enough_of_both() {
        let watch = Watch::default();
        for call in 1..=TIMES {
            assert_eq!(watch.note(None, Some(SLOW), Some(&paced(ENOUGH - 1, FAST))), None);
            let judged = watch.note(None, None, Some(&paced(ENOUGH, FAST))).is_some();
            assert_eq!(judged, call == ENOUGH, "{call}");
            if judged {
                return;
            }
        }
        panic!("never judged");
    }

    #[test]
    fn what_is_quick_anyway_may_take_many_times_as_long() {
        let (watch, other) = (Watch::default(), paced(TIMES, Duration::from_micros(50)));
        assert!((0..TIMES).all(|_| watch.note(None, Some(QUICK), Some(&other)).is_none()));
    }
}
