//! What search and ingestion plugins may ask of the host. A rank plugin has none of it.

pub use crate::bindings::host::taja::host::{catalogue, embed, job, media, types};

use types::Error;

/// Turns a refusal of the host into words that say which call it was.
pub trait Named<T> {
    /// The value, or for instance "embed.texts was refused (unavailable): the model is not loaded".
    fn named(self, call: &str) -> Result<T, String>;
}

impl<T> Named<T> for Result<T, Error> {
    fn named(self, call: &str) -> Result<T, String> {
        self.map_err(|error| refused(call, &error))
    }
}

/// What the host refused, and why.
fn refused(call: &str, error: &Error) -> String {
    let (kind, text) = match error {
        Error::Denied(text) => ("denied", text),
        Error::Quota(text) => ("out of quota", text),
        Error::TooLarge(text) => ("too large", text),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Invalid(text) => ("invalid", text),
    };
    format!("{call} was refused ({kind}): {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_call_and_the_reason() {
        let refusal: Result<(), _> = Err(Error::Denied("add \"embed\" to capabilities".into()));
        let text = refusal.named("embed.texts").unwrap_err();
        assert_eq!(text, "embed.texts was refused (denied): add \"embed\" to capabilities");
    }
}
