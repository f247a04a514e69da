//! What served not long ago and may still be asked for, by jobs that were accepted then. Read off a slot's history, so
//! that a process that slept through ten changes, or starts anew, knows it as well as the one that made them.

use std::time::Duration;

use jiff::Timestamp;
use taja_catalog::plugins::{Action, Activation, Choice, Event, PREVIOUS, Part};

use crate::clock::after;

/// Lines of history that are read.
pub(crate) const LINES: usize = 64;
/// Choices that are kept for jobs beside those that a slot itself holds; the latest ones.
const KEPT: usize = 16;

/// A choice that ceased to serve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Former {
    pub(crate) choice: Choice,
    /// What it served as.
    pub(crate) part: Part,
    /// Until when it is kept for jobs.
    pub(crate) until: Timestamp,
}

/// What a slot no longer holds and still has to honour, the latest first. `history` tells the latest first, too.
pub(crate) fn former(row: &Activation, history: &[Event], now: Timestamp, drain: Duration) -> Vec<Former> {
    let mut past = Past::default();
    for event in history.iter().rev() {
        if let Some(choice) = &event.choice {
            past.happened(event.action, choice, after(event.at, drain));
        }
    }
    // A slot without a live choice holds nothing that could be asked.
    let canary = row.canary.iter().map(|canary| &canary.choice);
    let held: Vec<_> = match &row.live {
        Some(live) => [live].into_iter().chain(&row.previous).chain(canary).map(Choice::id).collect(),
        None => Vec::new(),
    };
    let mut former = past.ended;
    former.retain(|former| former.until > now && !held.contains(&former.choice.id()));
    former.sort_by_key(|former| std::cmp::Reverse(former.until));
    former.truncate(KEPT);
    former
}

/// A slot as its history tells it. What the told part of it does not say is taken for empty.
#[derive(Default)]
struct Past {
    live: Option<Choice>,
    previous: Vec<Choice>,
    canary: Option<Choice>,
    ended: Vec<Former>,
}

impl Past {
    /// `until` is when a choice that this ended need not be honoured any more.
    fn happened(&mut self, action: Action, choice: &Choice, until: Timestamp) {
        match action {
            Action::Activated => {
                self.forget(choice);
                self.step_down(until);
                self.step_up(choice.clone());
            }
            Action::Deactivated => {
                self.step_down(until);
                self.stop_canary(until);
            }
            Action::CanaryStarted => {
                self.canary.take_if(|canary| canary.id() == choice.id());
                self.stop_canary(until);
                self.canary = Some(choice.clone());
            }
            Action::CanaryStopped => self.stop_canary(until),
            Action::RolledBack => {
                // What is gone back from is not honoured.
                if let Some(left) = self.live.take() {
                    self.forget(&left);
                }
                self.step_up(choice.clone());
            }
            Action::Withdrawn => {
                self.forget(choice);
                self.canary.take_if(|canary| canary.id() == choice.id());
                if self.live.take_if(|live| live.id() == choice.id()).is_some() {
                    match self.previous.is_empty() {
                        true => self.stop_canary(until),
                        false => {
                            let before = self.previous.remove(0);
                            self.step_up(before);
                        }
                    }
                }
            }
            Action::ShadowStarted | Action::ShadowStopped | Action::GateSet | Action::GateLifted => {}
        }
    }

    fn step_up(&mut self, choice: Choice) {
        self.forget(&choice);
        self.canary.take_if(|canary| canary.id() == choice.id());
        self.live = Some(choice);
    }

    fn step_down(&mut self, until: Timestamp) {
        let Some(live) = self.live.take() else { return };
        self.ended.push(Former { choice: live.clone(), part: Part::Live, until });
        self.previous.insert(0, live);
        self.previous.truncate(PREVIOUS);
    }

    fn stop_canary(&mut self, until: Timestamp) {
        let canary = self.canary.take().map(|choice| Former { choice, part: Part::Canary, until });
        self.ended.extend(canary);
    }

    fn forget(&mut self, choice: &Choice) {
        self.ended.retain(|former| former.choice.id() != choice.id());
        self.previous.retain(|earlier| earlier.id() != choice.id());
    }
}

#[cfg(test)]
mod tests {
    use taja_catalog::{
        PluginDigest,
        plugins::{Canary, Slot},
    };

    use super::*;

    const DRAIN: Duration = Duration::from_secs(120);

    fn choice(name: &str) -> Choice {
        let digest = PluginDigest::of(name.as_bytes());
        Choice { digest, name: name.into(), version: "1.0.0".into(), settings: serde_json::json!({}) }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// One change a second; the names of what is honoured at `now`, for a slot that holds `held`, the live one first.
    fn honoured(held: &[&str], changes: &[(Action, &str)], now: i64) -> Vec<String> {
        let mut held = held.iter().map(|name| choice(name));
        let row = Activation {
            tenant: None,
            slot: Slot::Rank,
            live: held.next(),
            previous: held.collect(),
            canary: None,
            shadow: None,
            gate: None,
            changed_at: second(0),
            changed_by: String::new(),
            revision: 1,
        };
        let former = former(&row, &history(changes), second(now), DRAIN);
        former.into_iter().map(|former| former.choice.name).collect()
    }

    /// The latest first.
    fn history(changes: &[(Action, &str)]) -> Vec<Event> {
        let event = |(at, (action, name)): (i64, &(Action, &str))| Event {
            tenant: None,
            slot: Slot::Rank,
            action: *action,
            choice: Some(choice(name)),
            reason: String::new(),
            by: String::new(),
            at: second(at),
        };
        let mut events: Vec<_> = (1..).zip(changes).map(event).collect();
        events.reverse();
        events
    }

    use Action::{Activated, CanaryStarted, CanaryStopped, Deactivated, RolledBack, Withdrawn};

    #[test]
    fn what_was_live_is_honoured_for_its_time_and_no_longer() {
        let changes = ["a", "b", "c", "d", "e"].map(|name| (Activated, name));
        assert_eq!(honoured(&["e", "d", "c"], &changes, 10), ["b", "a"]);
        // The one ended with the second change, the other with the third.
        assert_eq!(honoured(&["e", "d", "c"], &changes, 121), ["b", "a"]);
        assert_eq!(honoured(&["e", "d", "c"], &changes, 122), ["b"]);
        assert_eq!(honoured(&["e", "d", "c"], &changes, 123), [""; 0]);
    }

    #[test]
    fn what_was_gone_back_from_is_not_honoured_and_what_was_before_it_is() {
        let changes = ["a", "b", "c", "d", "e"].map(|name| (Activated, name));
        let back = [&changes[..], &[(RolledBack, "c")]].concat();
        assert_eq!(honoured(&["c", "d"], &back, 10), ["b", "a"]);
        let withdrawn = [&changes[..], &[(Withdrawn, "e"), (Withdrawn, "d")]].concat();
        assert_eq!(honoured(&["c"], &withdrawn, 10), ["b", "a"]);
        let gone_twice = [&changes[..], &[(Withdrawn, "e"), (RolledBack, "c")]].concat();
        assert_eq!(honoured(&["c"], &gone_twice, 10), ["b", "a"]);
    }

    #[test]
    fn what_comes_back_is_honoured_again() {
        let changes = [(Activated, "a"), (Activated, "b"), (RolledBack, "a"), (Activated, "b")];
        let changes = [&changes[..], &["c", "d", "e"].map(|name| (Activated, name))].concat();
        assert_eq!(honoured(&["e", "d", "c"], &changes, 10), ["b", "a"]);
    }

    #[test]
    fn a_trial_that_was_stopped_or_replaced_is_honoured_and_a_withdrawn_one_is_not() {
        let changes = [(Activated, "a"), (CanaryStarted, "b"), (CanaryStarted, "c"), (CanaryStopped, "c")];
        let former = former(
            &Activation { live: Some(choice("a")), ..crate::life::blank(None, &Slot::Rank) },
            &history(&changes),
            second(10),
            DRAIN,
        );
        let told: Vec<_> = former.iter().map(|former| (former.choice.name.as_str(), former.part)).collect();
        assert_eq!(told, [("c", Part::Canary), ("b", Part::Canary)]);
        let changes = [(Activated, "a"), (CanaryStarted, "b"), (Withdrawn, "b")];
        assert_eq!(honoured(&["a"], &changes, 10), [""; 0]);
    }

    #[test]
    fn a_trial_that_is_still_on_or_went_live_is_held_anyway() {
        let blank = crate::life::blank(None, &Slot::Rank);
        let canary = Some(Canary { choice: choice("b"), percent: 5, judged_by: None });
        let row = Activation { live: Some(choice("a")), canary, ..blank };
        let changes = [(Activated, "a"), (CanaryStarted, "b"), (CanaryStarted, "b")];
        assert_eq!(former(&row, &history(&changes), second(10), DRAIN), []);
        let changes = [(Activated, "a"), (CanaryStarted, "b"), (Activated, "b")];
        assert_eq!(honoured(&["b", "a"], &changes, 10), [""; 0]);
    }

    #[test]
    fn an_empty_slot_honours_what_it_held() {
        let changes = [(Activated, "a"), (Activated, "b"), (CanaryStarted, "c"), (Deactivated, "b")];
        let mut names = honoured(&[], &changes, 10);
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn of_very_many_the_latest_are_kept() {
        let names: Vec<_> = (0..40).map(|n| format!("p{n}")).collect();
        let changes: Vec<_> = names.iter().map(|name| (Activated, name.as_str())).collect();
        let honoured = honoured(&["p39", "p38", "p37"], &changes, 50);
        assert_eq!((honoured.len(), honoured[0].as_str()), (KEPT, "p36"));
    }
}
