//! One document of the older service, whatever was written into it.

use jiff::Timestamp;
use mongodb::bson::{Bson, Document, oid::ObjectId};
use taja_catalog::{
    Details, Embedding, Filterable, ImageHash, Moment, PerceptualHash, Product, ProductId, Space,
    StoredImage, TenantId,
};

use crate::document::{amount, moment, whole};

/// A picture of such a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OldImage {
    /// SHA-256 of its bytes; where none was written, a stand-in that no bytes have, made from its place.
    pub(crate) hash: ImageHash,
    /// Where it is served; empty when nobody knows.
    pub(crate) url: String,
    /// Its vector, when it has one that fits the space asked for.
    pub(crate) embedding: Option<Embedding>,
}

/// A document of the older service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Old {
    /// Its `_id`.
    pub(crate) id: ObjectId,
    /// What it says of the product; a price that cannot be read is 0.
    pub(crate) details: Details,
    /// Its pictures, each once.
    pub(crate) images: Vec<OldImage>,
    /// When it was written.
    pub(crate) created_at: Timestamp,
    /// When it last changed.
    pub(crate) updated_at: Timestamp,
    /// Why the product cannot be taken over as it is.
    pub(crate) fault: Option<&'static str>,
    /// Vectors that do not fit.
    pub(crate) malformed_vectors: usize,
}

impl Old {
    /// Reads one, with its vectors when a space is given; none when its `_id` is of another kind.
    pub(crate) fn read(document: &Document, space: Option<&Space>) -> Option<Self> {
        let id = document.get_object_id("_id").ok()?;
        let price = amount_or_text(document.get("price"));
        let (images, malformed_vectors) = images(document, id, space);
        let created_at = time(document, "created_at")
            .unwrap_or_else(|| moment(id.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH));
        Some(Self {
            id,
            details: details(document, price.unwrap_or_default()),
            images,
            created_at,
            updated_at: time(document, "updated_at").unwrap_or(created_at),
            fault: price.is_none().then_some("price is not a number"),
            malformed_vectors,
        })
    }

    /// A moment in its life.
    pub(crate) fn moment(&self, moment: Moment) -> Timestamp {
        match moment {
            Moment::Created => self.created_at,
            Moment::Updated => self.updated_at,
        }
    }

    /// The product's identifier.
    pub(crate) fn product_id(&self) -> ProductId {
        self.id.to_hex().parse().expect("hex digits make an identifier")
    }

    /// The product.
    pub(crate) fn product(&self, tenant: &TenantId) -> Product {
        Product {
            tenant: tenant.clone(),
            id: self.product_id(),
            details: self.details.clone(),
            images: self.images.iter().map(stored).collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            offers: Vec::new(),
            revision: 0,
        }
    }

    /// The text by which keyword search finds it.
    pub(crate) fn text(&self) -> String {
        let details = &self.details;
        let texts = [Some(&details.description), details.category.as_ref(), details.color.as_ref()];
        let lists = details.sizes.iter().chain(&details.key_features);
        texts.into_iter().flatten().chain(lists).map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl<'a> From<&'a Old> for Filterable<'a> {
    fn from(old: &'a Old) -> Self {
        Self { moments: Some([old.created_at, old.updated_at]), ..Self::from(&old.details) }
    }
}

/// Without a look and a size: nobody wrote them down.
fn stored(image: &OldImage) -> StoredImage {
    StoredImage {
        hash: image.hash,
        perceptual: PerceptualHash(0),
        url: image.url.clone(),
        width: 0,
        height: 0,
    }
}

fn details(document: &Document, price: f64) -> Details {
    let text = |name: &str| document.get(name).and_then(as_text);
    Details {
        name: text("name").unwrap_or_default(),
        price,
        currency: text("currency"),
        description: text("description").unwrap_or_default(),
        category: text("category"),
        sku: text("sku"),
        stock: document.get("stock").and_then(whole),
        weight_kg: amount_or_text(document.get("weight_kg")),
        color: text("color"),
        sizes: texts(document.get("sizes")),
        key_features: texts(document.get("key_features")),
        item_group_id: None,
        attributes: serde_json::Map::new(),
    }
}

/// A number, or text that is one. Not finite is no amount.
fn amount_or_text(stored: Option<&Bson>) -> Option<f64> {
    let number = match stored? {
        Bson::String(text) => text.trim().parse().ok(),
        other => amount(Some(other)),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// Text, or a number as text: sizes were written both ways.
fn as_text(stored: &Bson) -> Option<String> {
    match stored {
        Bson::String(text) => Some(text.replace('\0', "")),
        Bson::Int32(number) => Some(number.to_string()),
        Bson::Int64(number) => Some(number.to_string()),
        Bson::Double(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A list of texts, or one text.
fn texts(stored: Option<&Bson>) -> Vec<String> {
    match stored {
        Some(Bson::Array(entries)) => entries.iter().filter_map(as_text).collect(),
        Some(one) => as_text(one).filter(|text| !text.is_empty()).into_iter().collect(),
        None => Vec::new(),
    }
}

fn time(document: &Document, name: &str) -> Option<Timestamp> {
    match document.get(name)? {
        Bson::DateTime(date) => moment(*date).ok(),
        Bson::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The pictures, and how many vectors do not fit.
fn images(document: &Document, id: ObjectId, space: Option<&Space>) -> (Vec<OldImage>, usize) {
    let urls = list(document, "image_urls");
    let hashes = list(document, "image_hashes");
    let vectors = embeddings(document);
    let mut images: Vec<OldImage> = Vec::new();
    let mut malformed = 0;
    for place in 0..urls.len().max(hashes.len()).max(vectors.len()) {
        let hash = hashes.get(place).and_then(hash);
        let hash = hash.unwrap_or_else(|| ImageHash::of(format!("{id}/{place}").as_bytes()));
        if images.iter().any(|image| image.hash == hash) {
            continue;
        }
        let vector = space.and_then(|space| Some(embedding(vectors.get(place)?, space)));
        malformed += usize::from(matches!(vector, Some(None)));
        let url = urls.get(place).and_then(Bson::as_str).unwrap_or_default().to_owned();
        images.push(OldImage { hash, url, embedding: vector.flatten() });
    }
    (images, malformed)
}

fn list<'a>(document: &'a Document, name: &str) -> &'a [Bson] {
    document.get_array(name).map(Vec::as_slice).unwrap_or_default()
}

/// A list of vectors, one per picture; a plain list of numbers is the vector of the only one.
fn embeddings(document: &Document) -> Vec<&[Bson]> {
    let stored = list(document, "embeddings");
    match stored.first() {
        Some(Bson::Array(_)) => {
            stored.iter().map(|one| one.as_array().map(Vec::as_slice).unwrap_or_default()).collect()
        }
        Some(_) => vec![stored],
        None => Vec::new(),
    }
}

fn embedding(stored: &&[Bson], space: &Space) -> Option<Embedding> {
    let components = stored.iter().map(|component| amount(Some(component)).map(|number| number as f32));
    Embedding::normalised(components.collect::<Option<_>>()?, space.dimension).ok()
}

/// A SHA-256 in hex digits of any case, perhaps with a word before it, or as 32 bytes.
fn hash(stored: &Bson) -> Option<ImageHash> {
    match stored {
        Bson::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            let digits = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("0x")).unwrap_or(&text);
            digits.parse().ok()
        }
        Bson::Binary(binary) => Some(ImageHash::from_digest(binary.bytes.as_slice().try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;
    use rstest::rstest;

    use super::*;

    fn space() -> Space {
        Space { id: "old@0".into(), model: "old".into(), dimension: 2 }
    }

    fn read(mut document: Document, space: Option<&Space>) -> Old {
        document.insert("_id", ObjectId::new());
        Old::read(&document, space).unwrap()
    }

    #[rstest]
    #[case(Bson::from("12.5"), Some(12.5))]
    #[case(Bson::from(" 7 "), Some(7.0))]
    #[case(Bson::from(7), Some(7.0))]
    #[case(Bson::from(7_i64), Some(7.0))]
    #[case(Bson::from(7.25), Some(7.25))]
    #[case(Bson::from("NaN"), None)]
    #[case(Bson::from("on request"), None)]
    #[case(Bson::Null, None)]
    fn a_price_is_read_as_it_was_written(#[case] stored: Bson, #[case] price: Option<f64>) {
        let old = Old::read(&doc! { "_id": ObjectId::new(), "price": stored }, None).unwrap();
        assert_eq!((old.details.price, old.fault.is_none()), (price.unwrap_or(0.0), price.is_some()));
    }

    #[test]
    fn a_hash_is_read_in_every_form() {
        let hash = ImageHash::of(b"a");
        let forms = [
            Bson::from(hash.to_string()),
            Bson::from(hash.to_string().to_uppercase()),
            Bson::from(format!("SHA256:{hash} ")),
            Bson::from(crate::document::binary(&hash)),
        ];
        for form in forms {
            let old = read(doc! { "image_hashes": [form.clone()] }, None);
            assert_eq!(old.images[0].hash, hash, "{form}");
        }
    }

    #[test]
    fn a_picture_without_a_hash_keeps_a_name_of_its_own() {
        let document =
            doc! { "_id": ObjectId::new(), "image_urls": ["a", "b"], "image_hashes": [null, "what"] };
        let images = Old::read(&document, None).unwrap().images;
        assert_eq!(images.len(), 2);
        assert_ne!(images[0].hash, images[1].hash);
        assert_eq!(images, Old::read(&document, None).unwrap().images, "the same at every reading");
    }

    #[test]
    fn vectors_that_do_not_fit_are_counted_and_left_out() {
        let document = doc! { "image_urls": ["a", "b", "c", "d"],
        "embeddings": [[3.0, 4], [1.0], [0.0, 0.0], ["x", 1.0]] };
        let old = read(document, Some(&space()));
        assert_eq!(old.malformed_vectors, 3);
        assert_eq!(old.images[0].embedding.as_ref().unwrap().as_slice(), [0.6, 0.8]);
        assert!(old.images[1..].iter().all(|image| image.embedding.is_none()));
        let flat = read(doc! { "image_urls": ["a"], "embeddings": [0, 2.0] }, Some(&space()));
        assert_eq!(flat.images[0].embedding.as_ref().unwrap().as_slice(), [0.0, 1.0]);
    }
}
