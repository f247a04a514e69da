//! What every version of a port must do, as suites that run against any of them.
//!
//! A suite makes a fresh subject for each claim, from a factory that also gives whatever must outlive it (a folder).

mod access;
mod edits;
mod filters;
mod finding;
mod index;
mod intents;
mod models;
mod plugins;
mod spelling;
mod store;
mod words;

pub use access::access_suite;
pub use filters::filter_suite;
pub use index::vector_index_suite;
pub use models::model_suite;
pub use plugins::plugin_suite;
pub use spelling::spelling_suite;
pub use store::store_suite;
pub use words::words_suite;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    embedding::{Embedding, Space},
    id::{EffectKey, ImageHash, ProductId, TenantId},
    picture::PerceptualHash,
    port::{Change, NewImage, PortResult, Store},
    product::{Details, Product, StoredImage},
};

/// Runs each claim against a subject of its own, and says which one it is at.
macro_rules! claims {
    ($make:expr; $($claim:ident),* $(,)?) => {$(
        let (subject, _guard) = $make.await;
        eprintln!("claim: {}", stringify!($claim));
        $claim(&subject).await;
    )*};
}
use claims;

/// A shop of this name.
fn shop(name: &str) -> TenantId {
    name.parse().expect("the suites use valid names")
}

/// A product of this name.
fn product(name: &str) -> ProductId {
    name.parse().expect("the suites use valid names")
}

fn effect(name: &str) -> EffectKey {
    name.parse().expect("the suites use valid names")
}

fn vector(values: &[f32]) -> Embedding {
    Embedding::normalised(values.to_vec(), values.len()).expect("the suites use vectors with a direction")
}

/// A picture whose bytes are its name.
fn image(name: &str, look: u64, direction: &[f32]) -> NewImage {
    let image = StoredImage {
        hash: ImageHash::of(name.as_bytes()),
        perceptual: PerceptualHash(look),
        url: format!("/images/{name}.webp"),
        width: 640,
        height: 480,
    };
    NewImage { image, embedding: vector(direction) }
}

/// A new product, `age` milliseconds after the epoch.
fn creation(
    tenant: &TenantId,
    id: &str,
    age: i64,
    details: Value,
    text: &str,
    images: Vec<NewImage>,
) -> Change {
    let details: Details = serde_json::from_value(details).expect("the suites use valid details");
    let at = Timestamp::from_millisecond(age).expect("the suites use small times");
    let product = Product {
        tenant: tenant.clone(),
        id: product(id),
        details,
        images: images.iter().map(|new| new.image.clone()).collect(),
        created_at: at,
        updated_at: at,
        offers: Vec::new(),
        revision: 1,
    };
    Change::Create { product: Box::new(product), images, index_text: text.to_owned() }
}

fn space() -> Space {
    Space { id: "test@0".into(), model: "test".into(), dimension: 2 }
}

async fn put(store: &impl Store, tenant: &str, change: Change) -> PortResult<()> {
    let name = match &change {
        Change::Create { product, .. } => product.id.to_string(),
        Change::Merge { product, images } => format!("merge-{product}-{}", images.len()),
        Change::Offer { product, offer } => format!("offer-{product}-{}", offer.id),
        Change::None => "none".to_owned(),
    };
    let receipt = json!({"did": name});
    store.commit(&shop(tenant), &effect(&name), &space(), change, &receipt).await
}

/// Adds a product that is as old as its place, with no picture; its text is its name.
async fn shelve(store: &impl Store, tenant: &str, stock: &[(&str, Value)]) {
    for (age, (id, details)) in (1..).zip(stock) {
        let text = details["name"].as_str().unwrap_or_default().to_owned();
        let change = creation(&shop(tenant), id, age, details.clone(), &text, Vec::new());
        put(store, tenant, change).await.expect("a new product is taken");
    }
}

fn shoe(images: Vec<NewImage>) -> Change {
    let details = json!({"name": "Trail shoe", "price": 49.9, "currency": "EUR", "sizes": ["41", "42"],
        "stock": 3, "attributes": {"brand": "Bata", "waterproof": true, "year": 2024, "tags": []}});
    creation(&shop("shop"), "shoe", 1_700_000_000_000, details, "trail shoe for rain", images)
}
