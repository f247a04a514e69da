//! The tables, and how a file of an older version gets them.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use crate::{error::OpenError, filter, keyword};

/// How long a connection waits for another one's write, which lasts milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Compiled statements kept per connection. The fixed ones are some twenty; the rest is for filters of like shape.
const STATEMENTS: usize = 64;
/// Bytes of a page, when the file is new. Vectors are rows of 2 or 3 KiB, which waste up to half of SQLite's 4 KiB.
const PAGE_BYTES: i64 = 8 * 1024;
/// Page cache per connection, KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// The steps from each version to the next; `PRAGMA user_version` counts those that were taken.
/// A step that was released is never changed.
const STEPS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
];

/// The step from which on dates are values of their own.
const DATES: usize = 7;

/// The connection that writes.
pub(crate) fn writer(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    prepare(&connection)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), OpenError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    rusqlite::vtab::array::load_module(connection)?;
    keyword::register(connection)?;
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len() as i64;
    let taken = usize::try_from(found).ok().filter(|taken| *taken <= STEPS.len());
    let Some(taken) = taken else { return Err(OpenError::Newer { found, known }) };
    for step in &STEPS[taken..] {
        transaction.execute_batch(step)?;
    }
    if taken < DATES {
        note_dates(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

/// Notes of every text that was stored before whether it is a date.
fn note_dates(transaction: &Transaction<'_>) -> Result<(), OpenError> {
    let sql = "SELECT tenant, name, value, product FROM fields
               WHERE typeof(value) = 'text' AND value GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'";
    let mut statement = transaction.prepare(sql)?;
    let found = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, i64>(3)?,
        ))
    })?;
    let found: Vec<_> = found.collect::<Result<_, _>>()?;
    let sql = "INSERT OR IGNORE INTO fields (tenant, name, value, product) VALUES (?1, ?2, ?3, ?4)";
    for (tenant, name, text, product) in found {
        if let Some(moment) = filter::date_value(&text) {
            transaction.prepare_cached(sql)?.execute(params![tenant, name, moment, product])?;
        }
    }
    Ok(())
}
