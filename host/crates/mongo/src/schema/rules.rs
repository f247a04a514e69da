//! What each collection's documents must look like.

use mongodb::bson::{Bson, Document, doc};

/// Every collection's rule; `products` is the name of the collection of products.
pub(super) fn all(products: &str) -> [(&str, Document); 10] {
    [
        (products, product()),
        ("search", search()),
        ("images", image()),
        ("vectors", vector()),
        ("spaces", space()),
        ("receipts", receipt()),
        ("versions", version()),
        ("intents", intent()),
        ("tenants", tenant()),
        ("api_keys", api_key()),
    ]
}

/// All of these fields must be there, and be so.
fn required(fields: Document) -> Document {
    let names: Vec<_> = fields.keys().cloned().collect();
    doc! { "bsonType": "object", "required": names, "properties": fields }
}

fn is(kind: &str) -> Document {
    doc! { "bsonType": kind }
}

fn name() -> Document {
    doc! { "bsonType": "string", "pattern": "^[a-z0-9_-]{1,64}$" }
}

fn digest() -> Document {
    doc! { "bsonType": "binData" }
}

fn whole() -> Document {
    doc! { "bsonType": ["int", "long"], "minimum": 0 }
}

fn amount() -> Document {
    doc! { "bsonType": "number", "minimum": 0 }
}

fn list(items: impl Into<Bson>) -> Document {
    doc! { "bsonType": "array", "items": items.into() }
}

fn rule(schema: Document) -> Document {
    doc! { "$jsonSchema": schema }
}

/// A document without a shop is one of the older service, which may go on writing.
fn product() -> Document {
    let image = required(doc! {
        "hash": { "bsonType": "string", "pattern": "^[0-9a-f]{64}$" },
        "look": is("long"), "url": is("string"), "width": whole(), "height": whole(),
    });
    let attribute =
        doc! { "bsonType": "object", "required": ["k", "v"], "properties": { "k": is("string") } };
    let mut schema = required(doc! {
        "v": whole(), "tenant": name(), "id": name(),
        "name": { "bsonType": "string", "minLength": 1 }, "price": amount(), "description": is("string"),
        "sizes": list(is("string")), "key_features": list(is("string")), "attributes": list(attribute),
        "images": list(image), "image_urls": list(is("string")), "image_hashes": list(is("string")),
        "text": is("string"), "created_at": is("date"), "updated_at": is("date"),
    });
    let optional = doc! {
        "currency": is("string"), "category": is("string"), "sku": is("string"), "color": is("string"),
        "stock": whole(), "weight_kg": amount(),
    };
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.extend(optional);
    }
    doc! { "$or": [{ "tenant": { "$exists": false } }, rule(schema)] }
}

fn search() -> Document {
    let field = doc! { "bsonType": "object", "required": ["k", "v"], "properties": { "k": is("string") } };
    rule(required(doc! {
        "_id": required(doc! { "t": name(), "p": name() }),
        "tenant": name(), "product": name(), "created_at": is("date"), "fields": list(field),
        "name": list(is("string")), "text": list(is("string")), "beginnings": list(is("string")),
        "pieces": list(is("string")),
    }))
}

fn image() -> Document {
    let mut schema = required(doc! { "tenant": name(), "hash": digest(), "product": name() });
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.extend(doc! { "look": is("long"), "bands": list(is("int")) });
    }
    rule(schema)
}

fn vector() -> Document {
    rule(required(doc! {
        "space": is("string"), "tenant": name(), "image": digest(), "product": name(), "vector": is("binData"),
    }))
}

fn space() -> Document {
    rule(required(doc! { "_id": is("string"), "model": is("string"), "dimension": whole() }))
}

fn receipt() -> Document {
    rule(required(doc! {
        "_id": required(doc! { "t": name(), "e": name() }), "receipt": is("string"), "at": is("date"),
    }))
}

fn version() -> Document {
    rule(required(doc! { "_id": name(), "version": is("long") }))
}

fn intent() -> Document {
    let mut schema = required(doc! {
        "_id": required(doc! { "t": name(), "h": digest() }), "removing": is("bool"), "at": is("date"),
    });
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.extend(doc! { "effects": list(name()), "writes": whole() });
    }
    rule(schema)
}

fn tenant() -> Document {
    rule(required(doc! { "_id": name(), "name": is("string"), "created_at": is("string") }))
}

fn api_key() -> Document {
    rule(required(doc! {
        "_id": { "bsonType": "string", "pattern": "^[0-9a-f]{16}$" },
        "digest": { "bsonType": "string", "pattern": "^[0-9a-f]{64}$" },
        "tenant": name(),
        "scopes": list(doc! { "enum": ["search", "catalogue", "admin"] }),
        "label": is("string"),
        "created_at": is("string"),
    }))
}
