//! JSON as its text.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Error, Value, value::RawValue};

/// A JSON value as its text: written once, stored and passed on as it is, shared by all who hold it, and taken apart
/// only by those who look into it.
#[derive(Clone)]
pub struct JsonText(Arc<RawValue>);

impl JsonText {
    /// Writes a value down.
    ///
    /// # Errors
    /// If it is none that JSON has a form for.
    pub fn of(value: &impl Serialize) -> Result<Self, Error> {
        serde_json::value::to_raw_value(value).map(|text| Self(text.into()))
    }

    /// Takes a text over.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn from_text(text: String) -> Result<Self, Error> {
        RawValue::from_string(text).map(|text| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads it as something.
    ///
    /// # Errors
    /// If it is not that.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.as_str())
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        // The form of a value that is JSON is valid JSON.
        Self::of(&value).unwrap_or_else(|error| unreachable!("{error}"))
    }
}

/// As values: what order the names of an object stand in, and how a text is spaced, makes no difference.
impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || self.read::<Value>().ok() == other.read::<Value>().ok()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_goes_through_its_text_unchanged() {
        let value = json!({"b": [1.5, null, "é\""], "a": {"deep": true}});
        let text = JsonText::from(value.clone());
        assert_eq!(text.read::<Value>().unwrap(), value);
        assert_eq!(JsonText::from_text(text.as_str().to_owned()).unwrap(), text);
        assert_eq!(serde_json::to_value(&text).unwrap(), value);
        assert_eq!(serde_json::from_value::<JsonText>(value).unwrap(), text);
    }

    #[test]
    fn spacing_makes_no_difference_and_another_value_does() {
        let spaced = JsonText::from_text("{ \"a\" : 1 }".into()).unwrap();
        assert_eq!(spaced, json!({"a": 1}).into());
        assert_ne!(spaced, json!({"a": 2}).into());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "1 2", "nul"] {
            assert!(JsonText::from_text(text.into()).is_err(), "{text}");
        }
    }
}
