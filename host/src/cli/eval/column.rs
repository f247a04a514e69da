//! What is compared: the service as it is, other policies of it, another service.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::http::check_search_option;

/// The name of the column of what serves.
pub const LIVE: &str = "live";
/// What stands beside policies, by their names, in the JSON of a column. Nobody's plugin of that name can be chosen in one.
const WEIGHTS: &str = "weights";
/// Longest name, characters: it heads a column of a table.
const LONGEST_NAME: usize = 40;

/// One column of the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// What it is called.
    pub name: String,
    /// Who is asked.
    pub whom: Whom,
    /// How much parts of queries count, before what a query says of them.
    pub weights: Map<String, Value>,
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
        Self::new(LIVE, Whom::Policies(json!({})))
    }

    fn new(name: &str, whom: Whom) -> Self {
        Self { name: name.to_owned(), whom, weights: Map::new() }
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
        Self::new(name, Whom::Policies(json!({ plugin: asked })))
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((plugin, version)) = text.split_once('@').filter(|(plugin, _)| is_plugin(plugin)) {
            return Self::version(text, plugin, Some(version), None).checked();
        }
        let (name, what) = text.split_once('=').ok_or(
            "is neither PLUGIN@VERSION nor NAME= and policies as JSON, @FILE, PLUGIN@VERSION or a URL",
        )?;
        let column = match what.split_once('@') {
            _ if what.starts_with("http://") || what.starts_with("https://") => {
                Self::new(name, Whom::Server(what.trim_end_matches('/').to_owned()))
            }
            Some(("", file)) => {
                let json = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
                Self::of_json(name, &json)?
            }
            Some((plugin, version)) if is_plugin(plugin) => Self::version(name, plugin, Some(version), None),
            _ => Self::of_json(name, what)?,
        };
        column.checked()
    }
}

fn is_plugin(text: &str) -> bool {
    taja_catalog::plugins::is_plugin_name(text)
}

impl Column {
    /// Policies by name, and weights.
    fn of_json(name: &str, text: &str) -> Result<Self, String> {
        let mut policies: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("the policies are no JSON object: {error}"))?;
        let weights = policies.remove(WEIGHTS).unwrap_or_else(|| json!({}));
        check_search_option(WEIGHTS, &weights).map_err(|problem| format!("{WEIGHTS} {problem}"))?;
        let weights = weights.as_object().cloned().unwrap_or_default();
        Ok(Self { weights, ..Self::new(name, Whom::Policies(policies.into())) })
    }

    fn checked(self) -> Result<Self, String> {
        let name = &self.name;
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(format!("a column's name has 1 to {LONGEST_NAME} characters"));
        }
        if name == LIVE {
            return Err(format!("{LIVE} is the column of what serves"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_a_version_policies_or_a_service() {
        let policies = |name: &str, policies: Value| Column::new(name, Whom::Policies(policies));
        let keywords = r#"keywords={"search-text": {"settings": {"vector_weight": 0}}}"#;
        for (text, column) in [
            ("rank-new@1.2.0", policies("rank-new@1.2.0", json!({"rank-new": {"version": "1.2.0"}}))),
            ("new=rank-new@0123abcd", policies("new", json!({"rank-new": {"digest": "0123abcd"}}))),
            (keywords, policies("keywords", json!({"search-text": {"settings": {"vector_weight": 0}}}))),
            ("l14=http://127.0.0.1:8001/", Column::new("l14", Whom::Server("http://127.0.0.1:8001".into()))),
        ] {
            assert_eq!(text.parse(), Ok(column), "{text}");
        }
    }

    #[test]
    fn weights_stand_beside_policies() {
        let column: Column =
            r#"words={"weights": {"image": 0}, "rank-new": {"version": "1.0.0"}}"#.parse().unwrap();
        assert_eq!(column.whom, Whom::Policies(json!({"rank-new": {"version": "1.0.0"}})));
        assert_eq!(Value::Object(column.weights), json!({"image": 0}));
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
        let weights = [r#"x={"weights": 1}"#, r#"x={"weights": {"text": -1}}"#];
        let others = ["", "fast", "=http://a", "live=http://a", "x=[]", "x={", "x=@/no/such/file", "x=FTP@1"];
        for text in weights.into_iter().chain(others) {
            assert!(text.parse::<Column>().is_err(), "{text}");
        }
    }
}
