//! What the service is asked to do with plugins.

use std::path::PathBuf;

use anyhow::bail;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{On, With, source::Source, tables};
use crate::cli::{
    client::{At, Client},
    eval::{self, Column},
    write_out,
};

/// Changes that are shown above the versions.
const LAST_CHANGES: usize = 3;

/// Reads settings from the command line, or from a file behind an @.
pub fn settings(text: &str) -> Result<Value, String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let text = text.strip_prefix('@').map_or_else(|| Ok(text.to_owned()), read)?;
    let settings: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| format!("not a JSON object: {error}"))?;
    Ok(settings.into())
}

pub async fn list(json: bool, mut at: At) -> anyhow::Result<()> {
    let tenant = at.take_tenant();
    let plugins =
        at.with(async |client| client.call(Method::GET, "/plugins", &[("tenant", tenant)], None).await);
    let plugins = plugins.await?;
    write_out(&if json { serde_json::to_string_pretty(&plugins)? } else { tables::list(&plugins) })
}

pub async fn push(
    component: &Source,
    signature: Option<PathBuf>,
    activate: bool,
    json: bool,
    mut at: At,
) -> anyhow::Result<()> {
    let (bytes, signature) = component.read(signature).await?;
    let query = [("tenant", at.take_tenant()), ("activate", activate.then(|| "true".to_owned()))];
    let version =
        at.with(async |client| client.upload("/plugins", &query, bytes, signature.as_deref()).await).await?;
    write_out(&if json { version.to_string() } else { tables::version(&version) })
}

pub async fn activate(
    version: Option<String>,
    evaluation: Option<String>,
    with: With,
    mut on: On,
) -> anyhow::Result<()> {
    on.measure(version.as_deref(), &with).await?;
    let mut body = json!({ "evaluation": evaluation });
    name_version(&mut body, version);
    body["settings"] = with.settings.into();
    on.say(&mut body);
    on.step(Method::POST, "activate", Some(body)).await
}

pub async fn deactivate(mut on: On) -> anyhow::Result<()> {
    let mut body = json!({});
    on.say(&mut body);
    on.step(Method::POST, "deactivate", Some(body)).await
}

/// Asks for evaluations of this age before a version serves, or for none.
pub async fn gate(max_age_seconds: Option<u32>, mut on: On) -> anyhow::Result<()> {
    let Some(seconds) = max_age_seconds else { return on.step(Method::DELETE, "gate", None).await };
    let mut body = json!({ "max_age_seconds": seconds });
    on.say(&mut body);
    on.step(Method::POST, "gate", Some(body)).await
}

/// Starts a canary or a shadow so, or ends it when nothing is said of it.
pub async fn beside(
    what: &str,
    version: Option<String>,
    so: Option<Value>,
    with: With,
    mut on: On,
) -> anyhow::Result<()> {
    let Some(mut body) = so else { return on.step(Method::DELETE, what, None).await };
    on.measure(version.as_deref(), &with).await?;
    name_version(&mut body, version);
    body["settings"] = with.settings.into();
    on.say(&mut body);
    on.step(Method::POST, what, Some(body)).await
}

pub async fn rollback(to: Option<String>, mut on: On) -> anyhow::Result<()> {
    let mut body = json!({ "to": to });
    on.say(&mut body);
    on.step(Method::POST, "rollback", Some(body)).await
}

pub async fn status(name: &str, json: bool, mut at: At) -> anyhow::Result<()> {
    let tenant = at.take_tenant();
    let (plugin, changes) = at
        .with(async |client| {
            let plugin = call(client, &format!("/plugins/{name}"), tenant.clone()).await?;
            let changes = format!("/plugins/{name}/history");
            let query = [("tenant", tenant), ("limit", Some(LAST_CHANGES.to_string()))];
            Ok((plugin, client.call(Method::GET, &changes, &query, None).await?))
        })
        .await?;
    if json {
        return write_out(&serde_json::to_string_pretty(&plugin)?);
    }
    write_out(&tables::slot(&plugin))?;
    for change in changes.as_array().into_iter().flatten() {
        write_out(&format!("change    {}", tables::change(change)))?;
    }
    write_out(&format!("\n{}", tables::versions(&plugin)))
}

pub async fn history(name: &str, limit: usize, json: bool, mut at: At) -> anyhow::Result<()> {
    let query = [("tenant", at.take_tenant()), ("limit", Some(limit.to_string()))];
    let route = format!("/plugins/{name}/history");
    let events = at.with(async |client| client.call(Method::GET, &route, &query, None).await).await?;
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        return events.iter().try_for_each(|event| write_out(&event.to_string()));
    }
    write_out(&tables::history(events))
}

pub async fn remove(name: &str, version: &str, mut at: At) -> anyhow::Result<()> {
    let tenant = at.take_tenant();
    let route = format!("/plugins/{name}/versions/{version}");
    at.with(async |client| client.call(Method::DELETE, &route, &[("tenant", tenant)], None).await).await?;
    Ok(())
}

async fn call(client: &Client, route: &str, tenant: Option<String>) -> anyhow::Result<Value> {
    client.call(Method::GET, route, &[("tenant", tenant)], None).await
}

/// Names a version by its number, which has dots, or by its digest, which has none.
pub fn name_version(body: &mut Value, text: Option<String>) {
    let is_number = text.as_ref().is_some_and(|text| text.contains('.'));
    body[if is_number { "version" } else { "digest" }] = text.into();
}

impl On {
    /// Adds whose slot it is, and why.
    fn say(&mut self, body: &mut Value) {
        body["tenant"] = self.at.take_tenant().into();
        body["reason"] = std::mem::take(&mut self.reason).into();
    }

    /// Measures the version beside what serves, when there are judgements to do so by: an error if it finds less.
    async fn measure(&mut self, version: Option<&str>, with: &With) -> anyhow::Result<()> {
        let Some(judgements) = &with.judgements else { return Ok(()) };
        let column = Column::version("new", &self.name, version, with.settings.as_ref());
        let tenant = self.at.take_tenant();
        let measured = async |client: &Client| {
            eval::against_live(&client.acting_for(tenant.clone()), judgements, column.clone()).await
        };
        let against = self.at.with(measured).await?;
        self.at.name_tenant(tenant);
        match against.is_empty() {
            true => Ok(()),
            false => bail!("nothing was changed: {}", against.join("; ")),
        }
    }

    /// Takes a step and shows what fills the slot after it.
    async fn step(mut self, method: Method, step: &str, body: Option<Value>) -> anyhow::Result<()> {
        let route = format!("/plugins/{}/{step}", self.name);
        let reason = Some(self.reason.clone()).filter(|reason| !reason.is_empty());
        let query = [("tenant", self.at.take_tenant()), ("reason", reason)];
        let plugin =
            self.at.with(async |client| client.call(method, &route, &query, body.as_ref()).await).await?;
        write_out(&if self.json { serde_json::to_string_pretty(&plugin)? } else { tables::slot(&plugin) })
    }
}
