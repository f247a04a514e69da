//! What FTS5 knows of a row and of all rows, as functions in SQL. Its own `bm25` tells the end of a calculation only, and
//! reads every word's rows once more for it at each search.
//!
//! - `word_occurrences(words)`: how often the row has what was asked for in the name and in the text, and how long the row
//!   is, as [`Occurrences::unpack`] reads it.
//! - `word_rows(words)` and `word_tokens(words)`: how many rows there are, and how long all of them are together.

use std::{
    ffi::{CStr, c_int},
    ptr,
};

use rusqlite::{
    Connection, Error,
    ffi::{self, Fts5Context, Fts5ExtensionApi, Fts5PhraseIter, fts5_api, sqlite3_context, sqlite3_value},
    types::ToSqlOutput,
};

/// The columns of `words`.
const NAME: c_int = 1;
const TEXT: c_int = 2;
/// All columns, where FTS5 asks for one.
const ALL: c_int = -1;

/// How often a row has something, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occurrences {
    /// In its name.
    pub(super) name: u16,
    /// In its text.
    pub(super) text: u16,
    /// Words of the row in all columns.
    pub(super) length: u32,
}

impl Occurrences {
    fn pack(self) -> i64 {
        // The highest bit stays free: what is packed is no negative number.
        let name = i64::from(self.name.min(i16::MAX as u16));
        name << 48 | i64::from(self.text) << 32 | i64::from(self.length)
    }

    /// Reads what the function in SQL gave.
    pub(super) fn unpack(packed: i64) -> Self {
        Self { name: (packed >> 48) as u16, text: (packed >> 32) as u16, length: packed as u32 }
    }
}

/// The row that FTS5 calls a function for.
struct Row<'api> {
    api: &'api Fts5ExtensionApi,
    context: *mut Fts5Context,
}

/// A number, or the code of what went wrong.
type Answer = Result<i64, c_int>;

impl Row<'_> {
    fn occurrences(&self) -> Answer {
        let (mut name, mut text) = (0_u16, 0_u16);
        self.each_column(|column| match column {
            NAME => name = name.saturating_add(1),
            TEXT => text = text.saturating_add(1),
            _ => {}
        })?;
        let size = self.api.xColumnSize.ok_or(ffi::SQLITE_MISUSE)?;
        let mut length = 0;
        // SAFETY: the context is the one that FTS5 called with, and is valid during the call; so is the place.
        check(unsafe { size(self.context, ALL, &raw mut length) })?;
        Ok(Occurrences { name, text, length: length.unsigned_abs() }.pack())
    }

    /// Calls with the column of each place where the row has the first phrase.
    fn each_column(&self, mut call: impl FnMut(c_int)) -> Result<(), c_int> {
        let first = self.api.xPhraseFirst.ok_or(ffi::SQLITE_MISUSE)?;
        let next = self.api.xPhraseNext.ok_or(ffi::SQLITE_MISUSE)?;
        let mut places = Fts5PhraseIter { a: ptr::null(), b: ptr::null() };
        let (mut column, mut offset) = (0, 0);
        // SAFETY: the context is the one that FTS5 called with, and is valid during the call; so are the places.
        check(unsafe { first(self.context, 0, &raw mut places, &raw mut column, &raw mut offset) })?;
        while column >= 0 {
            call(column);
            // SAFETY: as above, and `places` is as the call before left it.
            unsafe { next(self.context, &raw mut places, &raw mut column, &raw mut offset) };
        }
        Ok(())
    }

    fn rows(&self) -> Answer {
        let count = self.api.xRowCount.ok_or(ffi::SQLITE_MISUSE)?;
        let mut rows = 0;
        // SAFETY: the context is the one that FTS5 called with, and is valid during the call; so is the place.
        check(unsafe { count(self.context, &raw mut rows) })?;
        Ok(rows)
    }

    fn tokens(&self) -> Answer {
        let total = self.api.xColumnTotalSize.ok_or(ffi::SQLITE_MISUSE)?;
        let mut tokens = 0;
        // SAFETY: the context is the one that FTS5 called with, and is valid during the call; so is the place.
        check(unsafe { total(self.context, ALL, &raw mut tokens) })?;
        Ok(tokens)
    }
}

fn check(code: c_int) -> Result<(), c_int> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

/// Answers SQLite.
///
/// # Safety
/// The pointers are those that FTS5 calls a function with, during that call.
unsafe fn answer(
    api: *const Fts5ExtensionApi,
    row: *mut Fts5Context,
    result: *mut sqlite3_context,
    ask: fn(&Row<'_>) -> Answer,
) {
    // SAFETY: FTS5 hands a valid table of functions over, which outlasts the call.
    let row = Row { api: unsafe { &*api }, context: row };
    match ask(&row) {
        // SAFETY: the result is the one of this call.
        Ok(number) => unsafe { ffi::sqlite3_result_int64(result, number) },
        // SAFETY: as above.
        Err(code) => unsafe { ffi::sqlite3_result_error_code(result, code) },
    }
}

/// A function as FTS5 calls it, made of one that asks about a row.
macro_rules! function {
    ($name:ident) => {
        unsafe extern "C" fn $name(
            api: *const Fts5ExtensionApi,
            row: *mut Fts5Context,
            result: *mut sqlite3_context,
            _: c_int,
            _: *mut *mut sqlite3_value,
        ) {
            // SAFETY: FTS5 calls with pointers that are valid during the call.
            unsafe { answer(api, row, result, |row| row.$name()) }
        }
    };
}

function!(occurrences);
function!(rows);
function!(tokens);

/// Makes the functions known to a connection.
pub(crate) fn register(connection: &Connection) -> Result<(), Error> {
    let functions: [(&CStr, ffi::fts5_extension_function); 3] = [
        (c"word_occurrences", Some(occurrences)),
        (c"word_rows", Some(rows)),
        (c"word_tokens", Some(tokens)),
    ];
    let api = fts5(connection)?;
    // SAFETY: FTS5 gave the pointer, and it is valid as long as the connection is open.
    let create = unsafe { (*api).xCreateFunction }.ok_or_else(|| failure(ffi::SQLITE_MISUSE))?;
    for (name, function) in functions {
        // SAFETY: as above; the functions hold nothing that would have to be dropped.
        check(unsafe { create(api, name.as_ptr(), ptr::null_mut(), function, None) }).map_err(failure)?;
    }
    Ok(())
}

/// FTS5's way of taking functions, which it writes where a pointer of this name points.
fn fts5(connection: &Connection) -> Result<*mut fts5_api, Error> {
    let mut api: *mut fts5_api = ptr::null_mut();
    let place = ToSqlOutput::Pointer(((&raw mut api).cast_const().cast(), c"fts5_api_ptr", None));
    connection.query_row("SELECT fts5(?1)", [place], |_| Ok(()))?;
    if api.is_null() { Err(failure(ffi::SQLITE_NOTFOUND)) } else { Ok(api) }
}

fn failure(code: c_int) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for occurrences in [
            Occurrences { name: 0, text: 0, length: 0 },
            Occurrences { name: 3, text: 40_000, length: 70_000 },
            Occurrences { name: i16::MAX as u16, text: u16::MAX, length: u32::MAX },
        ] {
            assert!(occurrences.pack() >= 0);
            assert_eq!(Occurrences::unpack(occurrences.pack()), occurrences);
        }
    }

    #[test]
    fn rows_are_counted_by_column() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let sql = "CREATE VIRTUAL TABLE words USING fts5 (tenant, name, text);
            INSERT INTO words VALUES ('x', 'shoe', 'a shoe is a shoe'), ('x', 'hat', '')";
        connection.execute_batch(sql).unwrap();
        let sql = "SELECT word_occurrences(words), word_rows(words), word_tokens(words)
            FROM words WHERE words MATCH 'shoe'";
        let row = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let (packed, rows, tokens): (i64, i64, i64) = row.unwrap();
        assert_eq!(Occurrences::unpack(packed), Occurrences { name: 1, text: 2, length: 7 });
        assert_eq!((rows, tokens), (2, 9));
    }
}
