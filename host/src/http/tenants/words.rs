//! `/tenants/{id}/words`: how a shop's words are understood.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use taja_catalog::words::{Language, MAX_LANGUAGES, MAX_SYNONYMS, Synonyms, WordRules, WordSettings};
use utoipa::ToSchema;

use super::tenant;
use crate::{
    access::Caller,
    http::{FieldProblem, Problem, Shared},
};

/// How a shop's words are understood. What is left out is as it is for a shop that said nothing.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WordsView {
    /// The language of the shop, in ISO 639-1, or a list of at most 4: other forms of a word find it, too. English forms always
    /// do.
    #[serde(default)]
    #[schema(example = "de")]
    language: Option<LanguageView>,
    /// Whether a word that the shop does not have finds what is written much alike. Words with digits never do.
    #[serde(default = "yes")]
    typos: bool,
    /// Words, or phrases of at most 4 words, that stand for each other, `sneaker, trainer` and `t shirt, tee`, or one way,
    /// `handy => mobile phone`. What has all words of a phrase is found by it.
    #[serde(default)]
    #[schema(example = json!(["sneaker, trainer", "t shirt, tee", "handy => mobile phone"]))]
    synonyms: Vec<String>,
}

/// One language, or several.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LanguageView {
    One(String),
    Several(Vec<String>),
}

fn yes() -> bool {
    true
}

impl From<&WordSettings> for WordsView {
    fn from(settings: &WordSettings) -> Self {
        Self {
            language: match &settings.language[..] {
                [] => None,
                [one] => Some(LanguageView::One(one.to_string())),
                several => Some(LanguageView::Several(several.iter().map(ToString::to_string).collect())),
            },
            typos: settings.typos,
            synonyms: settings.synonyms.iter().cloned().map(Into::into).collect(),
        }
    }
}

impl WordsView {
    fn read(&self) -> Result<WordSettings, Problem> {
        let mut problems = Vec::new();
        let codes = match &self.language {
            None => &[],
            Some(LanguageView::One(code)) => std::slice::from_ref(code),
            Some(LanguageView::Several(codes)) => &codes[..],
        };
        if codes.len() > MAX_LANGUAGES {
            problems.push(FieldProblem::new("language", format!("has more than {MAX_LANGUAGES} languages")));
        }
        let mut language = Vec::new();
        for (at, code) in codes.iter().take(MAX_LANGUAGES).enumerate() {
            let field = match &self.language {
                Some(LanguageView::Several(_)) => format!("language/{at}"),
                _ => "language".to_owned(),
            };
            match code.parse::<Language>() {
                Ok(known) => language.push(known),
                Err(error) => {
                    let known = Language::codes().collect::<Vec<_>>().join(", ");
                    problems.push(FieldProblem::new(&field, format!("{error}: it is one of {known}")));
                }
            }
        }
        if self.synonyms.len() > MAX_SYNONYMS {
            problems.push(FieldProblem::new("synonyms", format!("has more than {MAX_SYNONYMS} rules")));
        }
        let mut synonyms = Vec::new();
        for (at, rule) in self.synonyms.iter().take(MAX_SYNONYMS).enumerate() {
            match Synonyms::parse(rule) {
                Ok(rule) => synonyms.push(rule),
                Err(error) => problems.push(FieldProblem::new(&format!("synonyms/{at}"), error.to_string())),
            }
        }
        if !problems.is_empty() {
            return Err(Problem::fields(problems));
        }
        Ok(WordSettings { language: language.into_iter().collect(), typos: self.typos, synonyms })
    }
}

/// How a shop's words are understood.
#[utoipa::path(
    get, path = "/tenants/{id}/words", tag = "tenants", params(("id" = String, Path, description = "The shop")),
    responses((status = 200, body = WordsView), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<WordsView>, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    let settings = app.words.of(&tenant.id).await?;
    Ok(Json(settings.as_ref().into()))
}

/// Says how a shop's words are understood: at once here, within seconds at every other process. Nothing is indexed anew.
#[utoipa::path(
    put, path = "/tenants/{id}/words", tag = "tenants", request_body = WordsView,
    params(("id" = String, Path, description = "The shop")),
    responses((status = 200, body = WordsView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Json(new): Json<Value>,
) -> Result<Json<WordsView>, Problem> {
    let tenant = tenant(&app, &caller, &id).await?;
    if !new.is_object() {
        return Err(Problem::field("", "is no object"));
    }
    let new: WordsView =
        serde_json::from_value(new).map_err(|error| Problem::field("", error.to_string()))?;
    let settings = new.read()?;
    if !app.words.set(&tenant.id, &settings).await? {
        return Err(Problem::not_found("tenant"));
    }
    tracing::info!(tenant = %tenant.id, language = ?settings.language, "words are understood in another way");
    Ok(Json((&settings).into()))
}
