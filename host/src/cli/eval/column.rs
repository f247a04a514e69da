//! What is compared: the service as it is, other policies of it, another service.

use std::str::FromStr;

use serde_json::{Map, Value, json};

/// The name of the column of what serves.
pub const LIVE: &str = "live";
/// Longest name, characters: it heads a column of a table.
const LONGEST_NAME: usize = 40;

/// One column of the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// What it is called.
    pub name: String,
    /// Who is asked.
    pub whom: Whom,
}

/// Who is asked in a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Whom {
    /// The service, with these policies before those that are live.
    Policies(Value),
    /// Another service, as it is: another model, another build, another catalogue.
    Server(String),
}

impl Column {
    /// What serves now.
    pub fn live() -> Self {
        Self { name: LIVE.to_owned(), whom: Whom::Policies(json!({})) }
    }

    /// One version of a policy, and its settings unless it is to have those that its plugin has now.
    pub fn version(name: &str, plugin: &str, version: Option<&str>, settings: Option<&Value>) -> Self {
        let mut asked = json!({});
        if let Some(version) = version {
            // A version has dots, a digest has none.
            asked[if version.contains('.') { "version" } else { "digest" }] = version.into();
        }
        if let Some(settings) = settings {
            asked["settings"] = settings.clone();
        }
        Self { name: name.to_owned(), whom: Whom::Policies(json!({ plugin: asked })) }
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((plugin, version)) = text.split_once('@').filter(|(plugin, _)| is_plugin(plugin)) {
            return named(text, Self::version(text, plugin, Some(version), None).whom);
        }
        let (name, what) = text.split_once('=').ok_or(
            "is neither PLUGIN@VERSION nor NAME= and policies as JSON, @FILE, PLUGIN@VERSION or a URL",
        )?;
        let whom = match what.split_once('@') {
            _ if what.starts_with("http://") || what.starts_with("https://") => {
                Whom::Server(what.trim_end_matches('/').to_owned())
            }
            Some(("", file)) => {
                let policies = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
                Whom::Policies(policies_of(&policies)?)
            }
            Some((plugin, version)) if is_plugin(plugin) => {
                Self::version(name, plugin, Some(version), None).whom
            }
            _ => Whom::Policies(policies_of(what)?),
        };
        named(name, whom)
    }
}

fn is_plugin(text: &str) -> bool {
    taja_catalog::plugins::is_plugin_name(text)
}

fn named(name: &str, whom: Whom) -> Result<Column, String> {
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!("a column's name has 1 to {LONGEST_NAME} characters"));
    }
    if name == LIVE {
        return Err(format!("{LIVE} is the column of what serves"));
    }
    Ok(Column { name: name.to_owned(), whom })
}

fn policies_of(text: &str) -> Result<Value, String> {
    let policies: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("the policies are no JSON object: {error}"))?;
    Ok(policies.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_a_version_policies_or_a_service() {
        let policies =
            |name: &str, policies: Value| Column { name: name.into(), whom: Whom::Policies(policies) };
        let keywords = r#"keywords={"search-text": {"settings": {"vector_weight": 0}}}"#;
        for (text, column) in [
            ("rank-new@1.2.0", policies("rank-new@1.2.0", json!({"rank-new": {"version": "1.2.0"}}))),
            ("new=rank-new@0123abcd", policies("new", json!({"rank-new": {"digest": "0123abcd"}}))),
            (keywords, policies("keywords", json!({"search-text": {"settings": {"vector_weight": 0}}}))),
            (
                "l14=http://127.0.0.1:8001/",
                Column { name: "l14".into(), whom: Whom::Server("http://127.0.0.1:8001".into()) },
            ),
        ] {
            assert_eq!(text.parse(), Ok(column), "{text}");
        }
    }

    #[test]
    fn policies_come_from_a_file_behind_an_at() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"rank-default": {"settings": {"k": 1}}}"#).unwrap();
        let column: Column = format!("steep=@{}", file.path().display()).parse().unwrap();
        assert_eq!(column.whom, Whom::Policies(json!({"rank-default": {"settings": {"k": 1}}})));
    }

    #[test]
    fn what_is_no_column_is_refused() {
        for text in ["", "fast", "=http://a", "live=http://a", "x=[]", "x={", "x=@/no/such/file", "x=FTP@1"] {
            assert!(text.parse::<Column>().is_err(), "{text}");
        }
    }
}
