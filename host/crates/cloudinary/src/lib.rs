//! Pictures hosted on Cloudinary: signed uploads that never overwrite, and the addresses they are delivered at.
//!
//! Option and transformation types come from the `cloudinary` crate. Requests are our own: that crate signs times in
//! milliseconds, which the service refuses, leaves `&` unescaped, uploads no bytes, and has no timeout.

mod answer;
mod client;
mod config;
mod credentials;
mod delivery;
mod error;
mod hosted;
mod retry;
mod signature;

pub use client::Cloudinary;
pub use cloudinary::transformation;
pub use config::{CloudinaryConfig, SetupError};
pub use credentials::{Credentials, CredentialsError};
pub use delivery::{Transformation, Variant};
pub use error::CloudinaryError;
pub use hosted::Hosted;
pub use reqwest::Url;
pub use retry::Retry;
