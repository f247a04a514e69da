//! What a step shows: the evaluation that it names.

use taja_catalog::{
    TenantId,
    plugins::{Evidence, Lacking},
};
use taja_queue::{JobId, Status};

use crate::{
    evaluation::{Evaluation, Verdict},
    http::{Problem, Shared},
    jobs::EVALUATE,
};

/// What an evaluation of this shop says. A job that is none, or has not ended well, says nothing.
pub async fn of(app: &Shared, tenant: &TenantId, job: &str) -> Result<Evidence, Problem> {
    let missing = |why: String| Problem::from(Lacking::Missing(why));
    let none = || missing(format!("shop {tenant} has no such evaluation"));
    let id: JobId = job.parse().map_err(|_| none())?;
    let found = app.queue.get(tenant.as_str(), id).await?.filter(|found| found.kind == EVALUATE);
    let found = found.ok_or_else(none)?;
    let result = match (found.status, &found.result) {
        (Status::Completed, Some(result)) => result,
        (Status::Failed | Status::Cancelled, _) => {
            return Err(missing(format!("the evaluation {id} ended without a verdict")));
        }
        _ => return Err(missing(format!("the evaluation {id} has not ended yet"))),
    };
    let Evaluation { verdict, slot, judgements, live, candidate, began_at, .. } =
        result.read().map_err(|error| Problem::internal(&error))?;
    let candidate = candidate.choice.ok_or_else(|| Problem::internal(&"an evaluation is of nothing"))?;
    Ok(Evidence {
        judged_by: (tenant.clone(), judgements.set),
        slot,
        live: live.choice.map(|choice| choice.id()),
        candidate: candidate.id(),
        is_worse: verdict == Verdict::Worse,
        at: began_at,
    })
}
