//! Lines for the operator: [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
//! [`error!`](crate::error) are written like `format!`. In native tests they go to standard error.

use std::fmt::Arguments;

pub use crate::bindings::host::taja::host::log::Level;

/// Writes one line.
pub fn write(level: Level, line: Arguments<'_>) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::host::taja::host::log::write(level, &line.to_string());
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {line}");
}

/// Writes a line that matters to who looks for a fault.
#[macro_export]
macro_rules! debug {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Debug, ::std::format_args!($($line)*)) };
}

/// Writes a line that tells what was done.
#[macro_export]
macro_rules! info {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($line)*)) };
}

/// Writes a line about something odd that was got over.
#[macro_export]
macro_rules! warn {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Warn, ::std::format_args!($($line)*)) };
}

/// Writes a line about something that went wrong.
#[macro_export]
macro_rules! error {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Error, ::std::format_args!($($line)*)) };
}
