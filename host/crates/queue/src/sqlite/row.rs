//! A row of the job table as a record.

use rusqlite::{Row, types::Type};
use serde::de::DeserializeOwned;

use crate::{JobRecord, clock::moment};

macro_rules! columns {
    ($result:literal) => {
        concat!(
            "id, kind, tenant, status, attempts, max_attempts, progress, message, payload, ",
            $result,
            ", error, cancel_asked, created_at, started_at, finished_at, updated_at, telling"
        )
    };
}

/// What [`record`] reads, in its order.
pub(super) const COLUMNS: &str = columns!("result");

/// The same without the result, which can be large and which the caller has already.
pub(super) const COLUMNS_BUT_RESULT: &str = columns!("NULL");

/// How many columns [`record`] takes; what a query adds comes after them.
pub(super) const WIDTH: usize = 17;

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    Ok(JobRecord {
        id: parsed(row, 0)?,
        kind: row.get(1)?,
        tenant: row.get(2)?,
        status: parsed(row, 3)?,
        attempts: row.get(4)?,
        max_attempts: row.get(5)?,
        progress: row.get(6)?,
        message: row.get(7)?,
        payload: json(row, 8)?.unwrap_or_default(),
        result: json(row, 9)?,
        error: json(row, 10)?,
        cancel_asked: row.get(11)?,
        created_at: moment(row.get(12)?),
        started_at: row.get::<_, Option<i64>>(13)?.map(moment),
        finished_at: row.get::<_, Option<i64>>(14)?.map(moment),
        updated_at: moment(row.get(15)?),
        tell: row.get::<_, u8>(16)? > 0,
    })
}

pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|source| unreadable(column, source))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(serde_json::from_str).transpose().map_err(|source| unreadable(column, source))
}

fn unreadable(column: usize, source: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(source))
}
