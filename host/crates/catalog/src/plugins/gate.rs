//! What a version has to show before it serves where its slot asks for it: that it was measured beside what serves there, and
//! does not find less.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Choice, Slot};
use crate::id::{JudgementSetId, TenantId};

/// What a slot asks of a choice that is to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Seconds since the evaluation began, at most.
    pub max_age_seconds: u32,
}

/// What an evaluation says of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The shop and the set of its judgements by which it was measured.
    pub judged_by: (TenantId, JudgementSetId),
    /// The slot that it was measured for.
    pub slot: Slot,
    /// What it was measured beside: [`Choice::id`].
    pub live: Option<String>,
    /// What was measured: [`Choice::id`].
    pub candidate: String,
    /// Whether it finds less.
    pub is_worse: bool,
    /// When that began.
    pub at: Timestamp,
}

/// Why a choice may not serve yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// It was not measured, or something else was.
    #[error("{0}")]
    Missing(String),
    /// It was measured too long ago, or beside something else than what serves now.
    #[error("{0}")]
    Stale(String),
    /// It finds less than what serves.
    #[error("by this evaluation it finds less than what serves")]
    Worse,
}

impl Gate {
    /// Whether a choice may serve in a slot in which this one is live. What is shown is looked at even where the slot asks
    /// for nothing, and then at any age.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(
        gate: Option<Self>,
        evidence: Option<&Evidence>,
        slot: &Slot,
        live: Option<&Choice>,
        choice: &Choice,
        now: Timestamp,
    ) -> Result<(), Lacking> {
        let Some(evidence) = evidence else {
            let asks = |_| "this slot asks for an evaluation: have the version measured, and name the job";
            return gate.map(asks).map_or(Ok(()), |why| Err(Lacking::Missing(why.into())));
        };
        if evidence.slot != *slot {
            return Err(Lacking::Missing(format!("the evaluation is of the slot {}", evidence.slot)));
        }
        if evidence.candidate != choice.id() {
            let why = "the evaluation is of another version, or of this one with other settings";
            return Err(Lacking::Missing(why.into()));
        }
        if evidence.live != live.map(Choice::id) {
            let why = "the evaluation is beside another version than the one that serves now, or beside other settings";
            return Err(Lacking::Stale(why.into()));
        }
        if let Some(Self { max_age_seconds }) = gate
            && now.duration_since(evidence.at) > SignedDuration::from_secs(max_age_seconds.into())
        {
            let (at, why) =
                (evidence.at, format!("older than the {max_age_seconds} seconds that this slot takes"));
            return Err(Lacking::Stale(format!("the evaluation began at {at}, and is {why}")));
        }
        if evidence.is_worse { Err(Lacking::Worse) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::PluginDigest;

    fn choice(name: &str, k: u32) -> Choice {
        let digest = PluginDigest::of(name.as_bytes());
        Choice { digest, name: "rank".into(), version: "1.0.0".into(), settings: json!({ "k": k }) }
    }

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn good() -> Evidence {
        let (live, candidate) = (Some(choice("old", 1).id()), choice("new", 1).id());
        let judged_by = ("shop".parse().unwrap(), "set".parse().unwrap());
        Evidence { judged_by, slot: Slot::Rank, live, candidate, is_worse: false, at: hour(10) }
    }

    fn check(gate: Option<Gate>, evidence: Option<&Evidence>, now: i64) -> Result<(), Lacking> {
        Gate::check(gate, evidence, &Slot::Rank, Some(&choice("old", 1)), &choice("new", 1), hour(now))
    }

    const GATE: Option<Gate> = Some(Gate { max_age_seconds: 7200 });

    #[test]
    fn what_is_asked_for_must_be_shown_and_be_of_the_very_choices() {
        assert_eq!(check(None, None, 10), Ok(()));
        assert!(matches!(check(GATE, None, 10), Err(Lacking::Missing(_))));
        assert_eq!(check(GATE, Some(&good()), 12), Ok(()));
        for wrong in [
            Evidence { slot: Slot::Search("rank".into()), ..good() },
            Evidence { candidate: choice("newer", 1).id(), ..good() },
            Evidence { candidate: choice("new", 2).id(), ..good() },
        ] {
            for gate in [None, GATE] {
                assert!(matches!(check(gate, Some(&wrong), 10), Err(Lacking::Missing(_))), "{wrong:?}");
            }
        }
        for live in [None, Some(choice("older", 1).id()), Some(choice("old", 2).id())] {
            let stale = Evidence { live, ..good() };
            assert!(matches!(check(None, Some(&stale), 10), Err(Lacking::Stale(_))), "{stale:?}");
        }
    }

    #[test]
    fn what_is_old_or_worse_does_not_serve() {
        let late = check(GATE, Some(&good()), 13);
        assert!(matches!(&late, Err(Lacking::Stale(why)) if why.contains("7200 seconds")), "{late:?}");
        assert_eq!(check(None, Some(&good()), 10_000), Ok(()), "no age is asked for");
        // A clock that is behind makes nothing old.
        assert_eq!(check(GATE, Some(&good()), 9), Ok(()));
        let worse = Evidence { is_worse: true, ..good() };
        assert_eq!(
            [check(None, Some(&worse), 10), check(GATE, Some(&worse), 10)],
            [const { Err(Lacking::Worse) }; 2]
        );
    }
}
