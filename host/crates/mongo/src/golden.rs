//! What is sent to a server that the tests do not have, held to files.

use mongodb::bson::Document;

/// Fails unless the documents are those of `golden/{name}.json`, which `TAJA_BLESS` writes anew.
pub(crate) fn assert_golden(name: &str, documents: &[Document]) {
    let path = format!("{}/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let found = serde_json::to_string_pretty(documents).unwrap() + "\n";
    if std::env::var_os("TAJA_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
}
