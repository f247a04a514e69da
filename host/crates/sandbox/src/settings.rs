//! Settings of a plugin against the JSON Schema of its manifest. Schema and settings are both somebody else's: each
//! is bounded before the validator sees it, and so is their product, which is what checking costs.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::manifest::Manifest;

mod survey;

use self::survey::{MAX_DEPTH, SchemaSize};

/// Longest settings, bytes of JSON text.
const MAX_SETTINGS_BYTES: usize = 64 << 10;
/// Most that checking may cost: values of the settings times the cost of the schema, which is about the memory that
/// all their mistakes together could take.
const MAX_WORK: usize = 64 << 20;
/// Most mistakes that are told one by one.
const MAX_MISTAKES: usize = 32;
/// Longest account of one mistake, bytes; it may quote the settings.
const MAX_MISTAKE_BYTES: usize = 300;
/// Largest program of one pattern, bytes: matching takes that many steps, or fewer, for every byte of a text.
const MAX_PATTERN_BYTES: usize = 128 << 10;

/// The schema of a manifest, ready to check settings; the error says what its author has to change.
pub(crate) fn schema(manifest: &Manifest) -> Result<Option<Validator>, String> {
    Ok(compiled(manifest)?.map(|(validator, _)| validator))
}

/// The settings that the plugin gets: `{}` for none, otherwise those given if they fit the schema. All mistakes come
/// together, each with the JSON pointer of what it is about.
pub(crate) fn checked(manifest: &Manifest, settings: Option<&Value>) -> Result<Value, String> {
    let settings = settings.cloned().unwrap_or_else(|| Value::Object(Default::default()));
    if !settings.is_object() {
        return Err(format!("settings of {:?} are not an object", manifest.name));
    }
    let values = count(&settings, MAX_DEPTH).ok_or_else(|| {
        format!("settings of {:?} are nested deeper than {MAX_DEPTH} levels", manifest.name)
    })?;
    let bytes = settings.to_string().len();
    if bytes > MAX_SETTINGS_BYTES {
        return Err(format!(
            "settings of {:?} are {bytes} bytes; the limit is {MAX_SETTINGS_BYTES}",
            manifest.name
        ));
    }
    if let Some((validator, size)) = compiled(manifest)? {
        if values.saturating_mul(size.cost) > MAX_WORK {
            return Err(format!(
                "settings of {:?} hold {values} values, too many to check against a schema of this size",
                manifest.name
            ));
        }
        let mistakes = mistakes(&validator, &settings);
        if !mistakes.is_empty() {
            return Err(format!("settings of {:?} do not fit its schema: {mistakes}", manifest.name));
        }
    }
    Ok(settings)
}

fn compiled(manifest: &Manifest) -> Result<Option<(Validator, SchemaSize)>, String> {
    let Some(table) = &manifest.settings else { return Ok(None) };
    let refused = |reason: String| format!("settings schema of {:?} {reason}", manifest.name);
    let schema = survey::json(table).map_err(refused)?;
    let size = survey::survey(&schema).map_err(refused)?;
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(
            PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES),
        )
        .offline()
        .build(&schema)
        .map_err(|error| refused(format!("is not valid: {}", mistake(&error))))?;
    Ok(Some((validator, size)))
}

fn mistakes(validator: &Validator, settings: &Value) -> String {
    let mut errors = validator.iter_errors(settings);
    let mut told: Vec<_> = errors.by_ref().take(MAX_MISTAKES).map(|error| mistake(&error)).collect();
    let more = errors.count();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}

/// The JSON pointer of what is wrong, and why; the pointer of the whole is empty and left out.
fn mistake(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    let text = if place.is_empty() { error.to_string() } else { format!("{place}: {error}") };
    match text.len() {
        0..=MAX_MISTAKE_BYTES => text,
        _ => format!("{} ..", &text[..text.floor_char_boundary(MAX_MISTAKE_BYTES)]),
    }
}

/// How many values there are at all levels; none if there are more than `levels` of these.
fn count(value: &Value, levels: usize) -> Option<usize> {
    let levels = levels.checked_sub(1)?;
    let below = match value {
        Value::Array(items) => items.iter().map(|item| count(item, levels)).sum::<Option<usize>>()?,
        Value::Object(fields) => fields.values().map(|field| count(field, levels)).sum::<Option<usize>>()?,
        _ => 0,
    };
    Some(below + 1)
}

#[cfg(test)]
mod tests;
