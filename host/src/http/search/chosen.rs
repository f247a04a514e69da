//! The policies that one search chooses for itself, so that they can be compared with those that serve.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use taja_catalog::{PluginDigest, access::Scope, policy::Chosen};
use taja_sandbox::Wanted;

use super::super::{Problem, Shared, plugins::Shelf};
use crate::access::Caller;

/// The field of a request.
pub const FIELD: &str = "policies";
/// Policies that one search may choose, at most.
const MOST: usize = 8;

/// Which version of a policy, and its settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    version: Option<String>,
    digest: Option<String>,
    settings: Option<Value>,
}

/// Reads the field, as JSON or as JSON in a text, and looks up what it names. The choices, and the modalities that the
/// search may then have; none when the field is absent or empty.
pub async fn chosen(
    app: &Shared,
    caller: &Caller,
    value: Option<Value>,
) -> Result<Option<(Chosen, HashSet<String>)>, Problem> {
    let value = value.filter(|value| !value.is_null() && value.as_str() != Some(""));
    let Some(value) = value else { return Ok(None) };
    caller.may(Scope::Admin)?;
    let asked = read(&value).map_err(|problem| Problem::field(FIELD, problem))?;
    let shelf = Shelf::open(app, caller, Some(caller.tenant.as_str())).await?;
    let mut wanted = Vec::new();
    for (name, asked) in asked {
        let digest = digest(app, &shelf, &name, &asked).await?;
        wanted.push(Wanted { digest, settings: asked.settings });
    }
    Ok(Some(app.sandbox.choose(&caller.tenant, &wanted).await?))
}

fn read(value: &Value) -> Result<BTreeMap<String, Asked>, String> {
    let asked: Result<BTreeMap<String, Asked>, _> = match value {
        Value::String(text) => serde_json::from_str(text),
        value => BTreeMap::deserialize(value),
    };
    let asked = asked.map_err(|error| {
        format!("is not an object of versions and settings by the name of a policy: {error}")
    })?;
    if asked.len() > MOST {
        return Err(format!("names more than {MOST} policies"));
    }
    Ok(asked)
}

/// The version that is meant: the one that is named, the one that serves, or the only one.
async fn digest(app: &Shared, shelf: &Shelf, name: &str, asked: &Asked) -> Result<PluginDigest, Problem> {
    if asked.version.is_none() && asked.digest.is_none() {
        let slot = shelf.slot(app, name).await?;
        let standing = shelf.standing(app, &slot).await?;
        let live = standing.serving().and_then(|(row, _)| row.live.as_ref());
        if let Some(live) = live.filter(|live| live.name == name) {
            return Ok(live.digest);
        }
    }
    Ok(shelf.pick(name, asked.version.as_deref(), asked.digest.as_deref())?.digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_are_read_from_json_and_from_text_alike() {
        let policies =
            json!({"search-text": {"settings": {"keyword_weight": 0}}, "rank": {"version": "1.0.0"}});
        for value in [policies.clone(), Value::String(policies.to_string())] {
            let asked = read(&value).unwrap();
            assert_eq!(asked["search-text"].settings, Some(json!({"keyword_weight": 0})));
            assert_eq!(asked["rank"].version.as_deref(), Some("1.0.0"));
        }
        assert!(read(&json!({})).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_choice_of_policies_is_refused() {
        let many: serde_json::Map<_, _> = (0..9).map(|n| (format!("rank-{n}"), json!({}))).collect();
        for value in
            [json!([]), json!("rank"), json!({"rank": "1.0.0"}), json!({"rank": {"k": 1}}), many.into()]
        {
            assert!(read(&value).is_err(), "{value}");
        }
    }
}
