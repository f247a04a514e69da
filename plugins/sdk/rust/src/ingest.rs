//! The contract of ingestion plugins: an uploaded product in, a decision out.

#[doc(inline)]
pub use crate::__export_ingest as export;
pub use crate::bindings::ingest::exports::taja::plugin::ingesting::{
    Decision, Details, DropReason, Dropped, Guest, Merge, Outcome, Product, Submission, Upload,
};
use crate::host::catalogue::StoredImage;

/// Exports a type that implements [`Guest`] as the plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_ingest {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::ingest::bindings::export!($plugin with_types_in $crate::ingest::bindings);
    };
}

#[doc(hidden)]
pub use crate::bindings::ingest as bindings;

impl Dropped {
    /// The picture at this place of the request is not kept, for a reason that lies in itself or in the request.
    pub fn new(index: u32, reason: DropReason) -> Self {
        Self { index, reason, product_id: String::new(), sha256: String::new() }
    }

    /// It is not kept because of a stored picture.
    pub fn known(index: u32, reason: DropReason, stored: StoredImage) -> Self {
        Self { index, reason, product_id: stored.product_id, sha256: stored.sha256 }
    }
}

impl Decision {
    /// The submission is refused; nothing is stored. The reason is for the client.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Reject(reason.into()), dropped: Vec::new() }
    }
}
