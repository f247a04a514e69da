//! The contract of rank plugins: candidates in, an order out.

mod answer;
mod best;
mod columns;

pub use answer::{Answer, Place};
pub use best::{Best, Match};
pub use columns::{Numbers, Texts};

#[doc(inline)]
pub use crate::__export_rank as export;
pub use crate::bindings::rank::exports::taja::plugin::ranking::{
    Candidates, Guest, Leg, Matches, Note, NumberColumn, Ranked, TextColumn,
};

/// Stands in a column where there is nothing: a match by no image, a text that is missing.
pub const NONE: u32 = u32::MAX;

/// Exports a type that implements [`Guest`] as the plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_rank {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::rank::bindings::export!($plugin with_types_in $crate::rank::bindings);
    };
}

#[doc(hidden)]
pub use crate::bindings::rank as bindings;

impl Candidates {
    /// The numbers of all products.
    pub fn products(&self) -> std::ops::Range<u32> {
        0..self.product_count
    }
}

/// A key that is smaller for a larger score.
fn descending(score: f32) -> u32 {
    let bits = score.to_bits();
    // IEEE 754: the bits of positive numbers rise with them, those of negative ones fall.
    if score.is_sign_negative() { bits } else { !bits & 0x7fff_ffff }
}
