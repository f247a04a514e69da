//! The client against the stand-in, which knows nothing of the client.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod account;
mod calls;
mod delivery;
mod faults;
mod stand_in;

use std::time::Duration;

use bytes::Bytes;
use taja_cloudinary::{Cloudinary, CloudinaryConfig, Retry, Url};
use taja_testkit::FakeCloudinary;

/// Enough of a JPEG: it begins and ends as one.
fn jpeg(content: &[u8]) -> Bytes {
    [&[0xff, 0xd8, 0xff], content, &[0xff, 0xd9]].concat().into()
}

fn url(value: &str) -> Url {
    Url::parse(value).unwrap()
}

/// The account of the stand-in, with short waits between attempts.
fn config(fake: &FakeCloudinary) -> CloudinaryConfig {
    let mut config = CloudinaryConfig::new(fake.cloudinary_url().parse().unwrap());
    config.upload_base = url(&fake.url());
    config.delivery_base = url(&fake.url());
    config.retry = Retry { attempts: 3, base: Duration::from_millis(2), cap: Duration::from_millis(4) };
    config
}

fn client(fake: &FakeCloudinary) -> Cloudinary {
    Cloudinary::new(config(fake)).unwrap()
}

async fn fetch(url: &str) -> Bytes {
    let response = reqwest::get(url).await.unwrap();
    response.error_for_status().unwrap().bytes().await.unwrap()
}
