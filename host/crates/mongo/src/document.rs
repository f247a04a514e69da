//! Products as documents. The fields that an older service in Python wrote too keep the names it gave them.

use jiff::Timestamp;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, doc, spec::BinarySubtype};
use serde_json::{Map, Number, Value};
use taja_catalog::{
    Details, ImageHash, Offer, PerceptualHash, PortResult, Product, ProductId, StoredImage, TenantId,
};

use crate::{error::damaged, filter, terms::Terms};

/// The form of the documents that this program writes.
pub(crate) const VERSION: i32 = 1;

/// Fields that a product may lack.
pub(crate) const OPTIONAL: [&str; 7] =
    ["currency", "category", "sku", "stock", "weight_kg", "color", "item_group_id"];

/// A product's document, but for its `_id`. `text` finds it by keyword.
pub(crate) fn product(product: &Product, text: &str) -> Document {
    let mut document = doc! {
        "v": VERSION,
        "tenant": product.tenant.as_str(),
        "id": product.id.as_str(),
        "name": &product.details.name,
        "price": product.details.price,
        "description": &product.details.description,
        "sizes": &product.details.sizes,
        "key_features": &product.details.key_features,
        "attributes": attributes(&product.details.attributes),
        "images": product.images.iter().map(image).collect::<Vec<_>>(),
        "offers": product.offers.iter().map(offer).collect::<Vec<_>>(),
        "image_urls": product.images.iter().map(|image| image.url.clone()).collect::<Vec<_>>(),
        "image_hashes": product.images.iter().map(|image| image.hash.to_string()).collect::<Vec<_>>(),
        "text": text,
        "created_at": date(product.created_at),
        "updated_at": date(product.updated_at),
        "revision": product.revision.cast_signed(),
    };
    let details = &product.details;
    let texts = [
        ("currency", &details.currency),
        ("category", &details.category),
        ("sku", &details.sku),
        ("color", &details.color),
        ("item_group_id", &details.item_group_id),
    ];
    document
        .extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))));
    document.extend(details.stock.map(|stock| ("stock".to_owned(), i64::from(stock).into())));
    document.extend(details.weight_kg.map(|weight| ("weight_kg".to_owned(), weight.into())));
    document
}

/// The document in which filters and words find a product.
pub(crate) fn search(product: &Product, text: &str) -> Document {
    let terms = Terms::of(&product.details.name, text);
    let list = |terms: std::collections::BTreeSet<String>| terms.into_iter().collect::<Vec<_>>();
    doc! {
        "_id": search_id(&product.tenant, &product.id),
        "tenant": product.tenant.as_str(),
        "product": product.id.as_str(),
        "created_at": date(product.created_at),
        "updated_at": date(product.updated_at),
        "fields": filter::entries(product.into()),
        "name": list(terms.name),
        "text": list(terms.text),
        "beginnings": list(terms.beginnings),
        "pieces": list(terms.pieces),
    }
}

/// What finds that document.
pub(crate) fn search_key(tenant: &TenantId, product: &ProductId) -> Document {
    doc! { "_id": search_id(tenant, product) }
}

/// Names that document.
pub(crate) fn search_id(tenant: &TenantId, product: &ProductId) -> Document {
    doc! { "t": tenant.as_str(), "p": product.as_str() }
}

/// A picture as an entry of its product.
pub(crate) fn image(image: &StoredImage) -> Document {
    doc! {
        "hash": image.hash.to_string(),
        "look": image.perceptual.0.cast_signed(),
        "url": &image.url,
        "width": i64::from(image.width),
        "height": i64::from(image.height),
    }
}

/// An offer as an entry of its product.
pub(crate) fn offer(offer: &Offer) -> Document {
    let mut document = doc! {
        "id": offer.id.as_str(),
        "name": &offer.name,
        "price": offer.price,
        "sizes": &offer.sizes,
        "added_at": date(offer.added_at),
    };
    let texts = [("currency", &offer.currency), ("sku", &offer.sku), ("color", &offer.color)];
    document
        .extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))));
    document.extend(offer.stock.map(|stock| ("stock".to_owned(), i64::from(stock).into())));
    document
}

/// Attributes as a list: as names of fields, some would mean something to the server.
fn attributes(attributes: &Map<String, Value>) -> Vec<Document> {
    attributes.iter().map(|(name, value)| doc! { "k": name, "v": attribute(value) }).collect()
}

fn attribute(value: &Value) -> Bson {
    match value {
        Value::Number(number) => self::number(number),
        Value::Array(entries) => Bson::Array(entries.iter().map(attribute).collect()),
        Value::String(text) => Bson::String(text.clone()),
        Value::Bool(truth) => Bson::Boolean(*truth),
        Value::Null | Value::Object(_) => Bson::Null,
    }
}

/// A whole number that is too large for 64 bits with a sign becomes a decimal one.
fn number(number: &Number) -> Bson {
    let large = || number.as_u64()?.to_string().parse::<Decimal128>().ok().map(Bson::Decimal128);
    let whole = number.as_i64().map(Bson::Int64).or_else(large);
    whole.or_else(|| number.as_f64().map(Bson::Double)).unwrap_or(Bson::Null)
}

fn value(stored: &Bson) -> Value {
    match stored {
        Bson::String(text) => text.as_str().into(),
        Bson::Boolean(truth) => (*truth).into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        Bson::Double(number) => (*number).into(),
        Bson::Decimal128(number) => number.to_string().parse::<u64>().map_or(Value::Null, Value::from),
        Bson::Array(entries) => entries.iter().map(value).collect(),
        _ => Value::Null,
    }
}

/// A moment in milliseconds, which is what the server keeps.
pub(crate) fn date(moment: Timestamp) -> DateTime {
    DateTime::from_millis(moment.as_millisecond())
}

/// The moment of a date.
pub(crate) fn moment(date: DateTime) -> PortResult<Timestamp> {
    Timestamp::from_millisecond(date.timestamp_millis()).map_err(|error| damaged("time", error))
}

/// Reads what [`product`] wrote.
pub(crate) fn read_product(document: &Document) -> PortResult<Product> {
    let images = document.get_array("images").map_err(|error| damaged("product", error))?;
    Ok(Product {
        tenant: id(document, "tenant")?,
        id: id(document, "id")?,
        details: read_details(document)?,
        images: images.iter().map(read_image).collect::<PortResult<_>>()?,
        offers: read_offers(document)?,
        created_at: read_moment(document, "created_at")?,
        updated_at: read_moment(document, "updated_at")?,
        // One that was stored before there were any has none, and gets its first with its next change.
        revision: document.get("revision").and_then(whole::<i64>).unwrap_or_default().unsigned_abs(),
    })
}

fn read_moment(document: &Document, name: &str) -> PortResult<Timestamp> {
    moment(*document.get_datetime(name).map_err(|error| damaged("product", error))?)
}

/// The offers of a product, which has none when it was stored before there were any.
pub(crate) fn read_offers(document: &Document) -> PortResult<Vec<Offer>> {
    let offers = document.get_array("offers").map(Vec::as_slice).unwrap_or_default();
    offers.iter().map(read_offer).collect()
}

fn read_offer(stored: &Bson) -> PortResult<Offer> {
    let offer = stored.as_document().ok_or_else(|| damaged("offer", "it is no document"))?;
    Ok(Offer {
        id: id(offer, "id")?,
        name: text(offer, "name")?.to_owned(),
        price: amount(offer.get("price")).ok_or_else(|| damaged("offer", "price is no number"))?,
        currency: optional(offer, "currency"),
        sku: optional(offer, "sku"),
        stock: offer.get("stock").and_then(whole),
        color: optional(offer, "color"),
        sizes: texts(offer, "sizes"),
        added_at: read_moment(offer, "added_at")?,
    })
}

fn optional(document: &Document, name: &str) -> Option<String> {
    document.get_str(name).ok().map(ToOwned::to_owned)
}

fn texts(document: &Document, name: &str) -> Vec<String> {
    let entries = document.get_array(name).map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(Bson::as_str).map(ToOwned::to_owned).collect()
}

fn read_details(document: &Document) -> PortResult<Details> {
    let optional = |name: &str| optional(document, name);
    let list = |name: &str| texts(document, name);
    Ok(Details {
        name: text(document, "name")?.to_owned(),
        price: amount(document.get("price")).ok_or_else(|| damaged("product", "price is no number"))?,
        currency: optional("currency"),
        description: text(document, "description")?.to_owned(),
        category: optional("category"),
        sku: optional("sku"),
        stock: document.get("stock").and_then(whole),
        weight_kg: amount(document.get("weight_kg")),
        color: optional("color"),
        sizes: list("sizes"),
        key_features: list("key_features"),
        item_group_id: optional("item_group_id"),
        attributes: read_attributes(document),
    })
}

fn read_attributes(document: &Document) -> Map<String, Value> {
    let entries = document.get_array("attributes").map(Vec::as_slice).unwrap_or_default();
    let pairs = entries.iter().filter_map(|entry| {
        let entry = entry.as_document()?;
        Some((entry.get_str("k").ok()?.to_owned(), value(entry.get("v")?)))
    });
    pairs.collect()
}

/// A number of any of the server's kinds that people write amounts in.
pub(crate) fn amount(stored: Option<&Bson>) -> Option<f64> {
    match stored? {
        Bson::Double(number) => Some(*number),
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Decimal128(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// A whole number that fits.
pub(crate) fn whole<T: TryFrom<i64>>(stored: &Bson) -> Option<T> {
    match stored {
        Bson::Int32(number) => T::try_from((*number).into()).ok(),
        Bson::Int64(number) => T::try_from(*number).ok(),
        Bson::Double(number) if number.fract() == 0.0 => T::try_from(*number as i64).ok(),
        _ => None,
    }
}

fn read_image(stored: &Bson) -> PortResult<StoredImage> {
    let image = stored.as_document().ok_or_else(|| damaged("image", "it is no document"))?;
    // A picture that an older service stored has no look and no size; it is like no other.
    let side = |name: &str| image.get(name).and_then(whole).unwrap_or_default();
    Ok(StoredImage {
        hash: id(image, "hash")?,
        perceptual: PerceptualHash(image.get_i64("look").unwrap_or_default().cast_unsigned()),
        url: text(image, "url")?.to_owned(),
        width: side("width"),
        height: side("height"),
    })
}

/// The identifier, or hash in hex digits, in a field.
pub(crate) fn id<T: std::str::FromStr>(document: &Document, name: &str) -> PortResult<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text(document, name)?.parse().map_err(|error: T::Err| damaged("identifier", error))
}

/// The text in a field.
pub(crate) fn text<'a>(document: &'a Document, name: &str) -> PortResult<&'a str> {
    document.get_str(name).map_err(|error| damaged("text", error))
}

/// A hash as the 32 bytes it is.
pub(crate) fn binary(hash: &ImageHash) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: hash.as_bytes().to_vec() }
}

/// The hash in a field of 32 bytes.
pub(crate) fn hash(document: &Document, name: &str) -> PortResult<ImageHash> {
    let bytes = document.get_binary_generic(name).map_err(|error| damaged("image hash", error))?;
    let digest = bytes.as_slice().try_into().map_err(|error| damaged("image hash", error))?;
    Ok(ImageHash::from_digest(digest))
}

/// The key of a product in `products`.
pub(crate) fn key(tenant: &TenantId, id: &ProductId) -> Document {
    doc! { "tenant": tenant.as_str(), "id": id.as_str() }
}

/// The key of a picture in `intents`.
pub(crate) fn image_key(tenant: &TenantId, image: &ImageHash) -> Document {
    doc! { "t": tenant.as_str(), "h": binary(image) }
}
