//! Measures what is on trial again, where its slot asks for evaluations: twice within the age that it takes. The job withdraws
//! a canary that has come to find less.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use jiff::Timestamp;
use taja_catalog::{
    ImageHash, TenantId,
    plugins::{Activation, Slot},
};
use taja_queue::NewJob;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::jobs::{EVALUATE, EvaluateJob, OnTrial};

/// How often it is looked whether a canary is to be measured again.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Measures canaries again when it is time to, until told to stop.
pub(super) async fn measure(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let mut watch = Watch::default();
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        if let Err(error) = watch.look(&app).await {
            tracing::warn!(error = format!("{error:#}"), "what is on trial was not measured again");
        }
    }
    Ok(())
}

/// The slots as they were last read.
#[derive(Default)]
struct Watch {
    read: u64,
    /// With the round that was last asked for.
    slots: HashMap<(Option<TenantId>, Slot), (Activation, i64)>,
}

impl Watch {
    async fn look(&mut self, app: &App) -> Result<()> {
        for row in app.plugins.activations(self.read).await? {
            self.read = row.revision;
            self.slots.insert((row.tenant.clone(), row.slot.clone()), (row, 0));
        }
        for (row, asked) in self.slots.values_mut() {
            let Some((tenant, job, round)) = due(row, Timestamp::now()).filter(|it| it.2 > *asked) else {
                continue;
            };
            let payload = serde_json::to_value(&job)?;
            // One for all processes, in each round.
            let key = format!("canary {} {round}", row.revision);
            let digest = ImageHash::of(payload.to_string().as_bytes()).to_string();
            let job = NewJob::new(EVALUATE, tenant.as_str(), payload).max_attempts(app.config.attempts);
            app.queue
                .push(job.idempotent(key, digest))
                .await
                .with_context(|| format!("slot {}", row.slot))?;
            *asked = round;
        }
        Ok(())
    }
}

/// What measures a canary again whose slot asks for evaluations, and how many times it would have been done by now; nothing
/// before the first time.
fn due(row: &Activation, now: Timestamp) -> Option<(&TenantId, EvaluateJob, i64)> {
    let (gate, canary) = (row.gate?, row.canary.as_ref()?);
    let (tenant, judgements) = canary.judged_by.as_ref()?;
    let every = i64::from(gate.max_age_seconds / 2).max(1);
    let round = now.duration_since(row.changed_at).as_secs() / every;
    let job = EvaluateJob {
        judgements: judgements.clone(),
        slot: row.slot.clone(),
        live: row.live.clone(),
        candidate: canary.choice.clone(),
        on_trial: Some(OnTrial { owner: row.tenant.clone() }),
        callback_url: None,
    };
    (round > 0).then_some((tenant, job, round))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use taja_catalog::{
        PluginDigest,
        plugins::{Canary, Choice, Gate},
    };

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn row() -> Activation {
        let choice = |name: &str| Choice {
            digest: PluginDigest::of(name.as_bytes()),
            name: name.into(),
            version: "1.0.0".into(),
            settings: json!({}),
        };
        let judged_by = Some(("shop".parse().unwrap(), "names".parse().unwrap()));
        Activation {
            tenant: None,
            slot: Slot::Rank,
            live: Some(choice("old")),
            previous: Vec::new(),
            canary: Some(Canary { choice: choice("new"), percent: 5, judged_by }),
            shadow: None,
            gate: Some(Gate { max_age_seconds: 60 }),
            changed_at: second(1000),
            changed_by: String::new(),
            revision: 7,
        }
    }

    #[test]
    fn a_canary_is_measured_twice_within_the_age_that_its_gate_takes() {
        let round = |at: i64| due(&row(), second(at)).map(|(_, _, round)| round);
        assert_eq!([round(1000), round(1029), round(900)], [None; 3]);
        assert_eq!([round(1030), round(1059), round(1060)], [Some(1), Some(1), Some(2)]);
        let row = row();
        let (tenant, job, _) = due(&row, second(1030)).unwrap();
        assert_eq!((tenant.as_str(), job.judgements.as_str()), ("shop", "names"));
        assert_eq!(
            (job.live, Some(job.candidate)),
            (row.live.clone(), row.canary.clone().map(|it| it.choice))
        );
        assert_eq!(job.on_trial, Some(OnTrial { owner: None }));
    }

    #[test]
    fn what_nobody_asks_to_be_measured_is_not() {
        let unjudged = row().canary.map(|canary| Canary { judged_by: None, ..canary });
        for row in [
            Activation { gate: None, ..row() },
            Activation { canary: None, ..row() },
            Activation { canary: unjudged, ..row() },
        ] {
            assert!(due(&row, second(9000)).is_none(), "{row:?}");
        }
    }
}
