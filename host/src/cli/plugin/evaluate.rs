//! `taja plugin evaluate`: what a version would do to the searches of a shop, measured by the service.

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::life;
use crate::{
    cli::{client::At, eval, follow, write_out},
    evaluation::{Evaluation, Verdict},
};

/// What the service is asked.
pub fn body(version: Option<String>, judgements: String, settings: Option<Value>) -> Value {
    let mut body = json!({});
    life::name_version(&mut body, version);
    body["judgements"] = judgements.into();
    body["settings"] = settings.into();
    body
}

/// Has a version measured, and follows the job to its end. Whether it finds no less than what serves.
pub async fn evaluate(name: &str, mut body: Value, json: bool, mut at: At) -> anyhow::Result<bool> {
    let tenant = at.take_tenant();
    body["tenant"] = tenant.clone().into();
    let job = at.with(async |client| {
        let client = client.acting_for(tenant.clone());
        let route = format!("/plugins/{name}/evaluate");
        let accepted = client.call(Method::POST, &route, &[], Some(&body)).await?;
        let id = accepted["job_id"].as_str().context("the server named no job")?.to_owned();
        follow::shown(&client, &id).await
    });
    let job = job.await?;
    if let Some(message) = job["error"]["message"].as_str() {
        bail!("{message}");
    }
    let evaluation: Evaluation = serde_json::from_value(job["result"].clone()).context("the result")?;
    let is_worse = evaluation.verdict == Verdict::Worse;
    if json {
        write_out(&serde_json::to_string_pretty(&job)?)?;
        return Ok(!is_worse);
    }
    for failure in &evaluation.candidate.failures {
        eprintln!("{failure}");
    }
    let verdict =
        if is_worse { "It finds less than what serves" } else { "It finds no less than what serves" };
    let id = job["job_id"].as_str().context("the server named no job")?;
    write_out(&format!("{}\n\n{verdict}: evaluation {id}", eval::table(evaluation)))?;
    Ok(!is_worse)
}
