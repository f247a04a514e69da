//! What a settings schema amounts to with everything that it refers to put in its place, and whether it keeps to the
//! part of JSON Schema whose cost can be told beforehand.

use serde_json::Value;
use toml::Table;

/// Deepest nesting of a schema, references followed, and of settings.
pub(super) const MAX_DEPTH: usize = 64;
/// Most that a schema may cost.
const MAX_COST: usize = 256 << 10;
/// What every value of a schema costs besides the bytes of its texts: about what is kept of a mistake it finds.
const VALUE_COST: usize = 64;
/// Most places where a text is matched with a pattern.
const MAX_PATTERNS: usize = 32;
/// The one version of JSON Schema that is spoken.
const VERSION: &str = "https://json-schema.org/draft/2020-12/schema";

/// How much work a schema is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SchemaSize {
    /// Of checking one value.
    pub(super) cost: usize,
    patterns: usize,
}

/// The table as JSON, dates as text.
pub(super) fn json(table: &Table) -> Result<Value, String> {
    of_table(table, MAX_DEPTH).ok_or_else(too_deep)
}

fn of_table(table: &Table, levels: usize) -> Option<Value> {
    let levels = levels.checked_sub(1)?;
    table.iter().map(|(key, value)| Some((key.clone(), of_value(value, levels)?))).collect()
}

fn of_value(value: &toml::Value, levels: usize) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        // A number that is not finite becomes null, which no keyword takes for a number.
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => {
            let levels = levels.checked_sub(1)?;
            Value::Array(items.iter().map(|item| of_value(item, levels)).collect::<Option<_>>()?)
        }
        toml::Value::Table(table) => of_table(table, levels)?,
    })
}

fn too_deep() -> String {
    format!("is nested deeper than {MAX_DEPTH} levels: make it flatter")
}

/// Walks the schema as the validator would; the error says what to change.
pub(super) fn survey(schema: &Value) -> Result<SchemaSize, String> {
    let mut survey = Survey { root: schema, size: SchemaSize::default(), open: Vec::new() };
    survey.schema(schema, 0)?;
    Ok(survey.size)
}

struct Survey<'a> {
    root: &'a Value,
    size: SchemaSize,
    /// The references that are being followed, outermost first.
    open: Vec<&'a str>,
}

impl<'a> Survey<'a> {
    /// A schema, or something that schemas lie in.
    fn schema(&mut self, schema: &'a Value, depth: usize) -> Result<(), String> {
        self.spend(schema)?;
        if depth >= MAX_DEPTH {
            return Err(too_deep());
        }
        match schema {
            Value::Object(keywords) => {
                keywords.iter().try_for_each(|(name, value)| self.keyword(name, value, depth + 1))
            }
            Value::Array(schemas) => schemas.iter().try_for_each(|schema| self.schema(schema, depth + 1)),
            _ => Ok(()),
        }
    }

    fn keyword(&mut self, name: &str, value: &'a Value, depth: usize) -> Result<(), String> {
        match name {
            "$ref" => self.reference(value, depth),
            "$schema" if value == VERSION => Ok(()),
            "$schema" => {
                Err(format!("is of another version: leave \"$schema\" out, or set it to {VERSION:?}"))
            }
            "$id" | "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveAnchor" | "$recursiveRef"
            | "$vocabulary" => {
                Err(format!("uses {name:?}: name a part in \"$defs\" and refer to it by \"#/$defs/NAME\""))
            }
            // Nested, they take twice as long for each level.
            "unevaluatedItems" | "unevaluatedProperties" => {
                Err(format!("uses {name:?}: use \"items\" or \"additionalProperties\" instead"))
            }
            "const" | "enum" | "default" | "examples" => self.data(value),
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                let Value::Object(schemas) = value else {
                    return Err(format!("has a {name:?} that is no table"));
                };
                if name == "patternProperties" {
                    self.patterns(schemas.len())?;
                }
                self.spend_text(schemas.keys().map(String::len).sum())?;
                schemas.values().try_for_each(|schema| self.schema(schema, depth + 1))
            }
            "pattern" => self.patterns(1).and_then(|()| self.spend(value)),
            _ => self.schema(value, depth),
        }
    }

    /// Only parts with a plain name, so that what is found here is what the validator finds.
    fn reference(&mut self, value: &'a Value, depth: usize) -> Result<(), String> {
        let Value::String(reference) = value else { return Err("has a \"$ref\" that is no text".into()) };
        let plain = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let part = reference.strip_prefix("#/").and_then(|path| path.split_once('/'));
        let Some((group, name)) =
            part.filter(|(group, name)| matches!(*group, "$defs" | "definitions") && plain(name))
        else {
            return Err(format!(
                "refers to {:?}: refer to nothing but its own parts, as \"#/$defs/NAME\" with a NAME of letters, digits, _ and -",
                reference.chars().take(100).collect::<String>()
            ));
        };
        let Some(target) = self.root.get(group).and_then(|parts| parts.get(name)) else {
            return Err(format!("refers to {reference:?}, which is not there"));
        };
        if self.open.contains(&reference.as_str()) {
            return Err(format!(
                "refers to itself through {reference:?}: write out as many levels as are needed"
            ));
        }
        self.open.push(reference);
        self.schema(target, depth + 1)?;
        self.open.pop();
        Ok(())
    }

    /// Values that mean themselves.
    fn data(&mut self, value: &Value) -> Result<(), String> {
        self.spend(value)?;
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.data(item)),
            Value::Object(fields) => {
                self.spend_text(fields.keys().map(String::len).sum())?;
                fields.values().try_for_each(|field| self.data(field))
            }
            _ => Ok(()),
        }
    }

    fn patterns(&mut self, more: usize) -> Result<(), String> {
        self.size.patterns += more;
        if self.size.patterns > MAX_PATTERNS {
            return Err(format!("has more than {MAX_PATTERNS} patterns: use \"enum\" or fewer of them"));
        }
        Ok(())
    }

    fn spend(&mut self, value: &Value) -> Result<(), String> {
        self.spend_text(VALUE_COST + value.as_str().map_or(0, str::len))
    }

    fn spend_text(&mut self, cost: usize) -> Result<(), String> {
        self.size.cost += cost;
        if self.size.cost > MAX_COST {
            return Err(
                "is too large with all that it refers to: make it smaller or refer to fewer parts".into()
            );
        }
        Ok(())
    }
}
