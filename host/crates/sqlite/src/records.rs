//! Records as JSON, the only column of a row that nobody asks about.

use rusqlite::{Connection, Params};
use serde::{Serialize, de::DeserializeOwned};
use taja_catalog::PortResult;

use crate::error::{damaged, sqlite};

/// The records that a query for one column of JSON finds.
pub(crate) fn records<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
) -> PortResult<Vec<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let rows = statement.query_map(values, |row| row.get::<_, String>(0)).map_err(sqlite)?;
    rows.map(|text| serde_json::from_str(&text.map_err(sqlite)?).map_err(|error| damaged("record", error)))
        .collect()
}

/// A record as it is stored.
pub(crate) fn text(record: &impl Serialize) -> PortResult<String> {
    serde_json::to_string(record).map_err(|error| damaged("record", error))
}
