//! What each collection's documents must look like.

use mongodb::bson::{Bson, Document, doc};

/// Every collection's rule; `products` is the name of the collection of products.
pub(super) fn all(products: &str) -> [(&str, Document); 19] {
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
        ("judgements", judgements()),
        ("model", model()),
        ("plugin_versions", plugin_version()),
        ("plugin_components", plugin_component()),
        ("plugin_pieces", plugin_piece()),
        ("plugin_activations", plugin_activation()),
        ("plugin_events", plugin_event()),
        ("plugin_statistics", plugin_statistic()),
        ("plugin_counters", plugin_counter()),
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

/// A shop, or none: nobody's, or everybody's.
fn shop_or_none() -> Document {
    doc! { "bsonType": ["string", "null"], "pattern": "^[a-z0-9_-]{1,64}$" }
}

fn hex_digest() -> Document {
    doc! { "bsonType": "string", "pattern": "^[0-9a-f]{64}$" }
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
        "hash": hex_digest(),
        "look": is("long"), "url": is("string"), "width": whole(), "height": whole(),
    });
    let attribute =
        doc! { "bsonType": "object", "required": ["k", "v"], "properties": { "k": is("string") } };
    let offer = required(doc! {
        "id": name(), "name": is("string"), "price": amount(), "sizes": list(is("string")), "added_at": is("date"),
    });
    let mut schema = required(doc! {
        "v": whole(), "tenant": name(), "id": name(),
        "name": { "bsonType": "string", "minLength": 1 }, "price": amount(), "description": is("string"),
        "sizes": list(is("string")), "key_features": list(is("string")), "attributes": list(attribute),
        "images": list(image), "image_urls": list(is("string")), "image_hashes": list(is("string")),
        "text": is("string"), "created_at": is("date"), "updated_at": is("date"),
    });
    let optional = doc! {
        "currency": is("string"), "category": is("string"), "sku": is("string"), "color": is("string"),
        "item_group_id": is("string"), "revision": whole(), "worded": whole(), "stock": whole(), "weight_kg": amount(),
        "offers": list(offer),
    };
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.extend(optional);
    }
    doc! { "$or": [{ "tenant": { "$exists": false } }, rule(schema)] }
}

fn search() -> Document {
    let field = doc! { "bsonType": "object", "required": ["k", "v"], "properties": { "k": is("string") } };
    let mut schema = required(doc! {
        "_id": required(doc! { "t": name(), "p": name() }),
        "tenant": name(), "product": name(), "created_at": is("date"), "fields": list(field),
        "name": list(is("string")), "text": list(is("string")), "beginnings": list(is("string")),
        "pieces": list(is("string")),
    });
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.insert("updated_at", is("date"));
    }
    rule(schema)
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
    let mut schema = required(doc! {
        "_id": required(doc! { "t": name(), "e": name() }), "receipt": is("string"), "at": is("date"),
    });
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.extend(doc! { "tenant": name(), "products": list(name()) });
    }
    rule(schema)
}

fn version() -> Document {
    let mut schema = required(doc! { "_id": name(), "version": is("long") });
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.extend(doc! { "removed": is("binData"), "age": whole(), "deleted": list(name()) });
    }
    rule(schema)
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
        "digest": hex_digest(),
        "tenant": name(),
        "scopes": list(doc! { "enum": ["search", "catalogue", "admin"] }),
        "label": is("string"),
        "created_at": is("string"),
    }))
}

fn judgements() -> Document {
    rule(required(doc! {
        "_id": required(doc! { "t": name(), "n": name() }),
        "tenant": name(),
        "record": is("string"),
        "lines": is("string"),
    }))
}

fn model() -> Document {
    rule(required(doc! { "revision": whole(), "active": is("string"), "record": is("string") }))
}

fn plugin_version() -> Document {
    rule(required(doc! {
        "_id": required(doc! { "o": shop_or_none(), "d": hex_digest() }),
        "owner": shop_or_none(),
        "record": is("string"),
    }))
}

fn plugin_component() -> Document {
    rule(required(doc! { "_id": hex_digest(), "size": whole(), "owners": whole() }))
}

fn plugin_piece() -> Document {
    rule(required(doc! { "digest": hex_digest(), "n": whole(), "data": is("binData") }))
}

fn plugin_activation() -> Document {
    rule(required(doc! {
        "_id": required(doc! { "t": shop_or_none(), "s": is("string") }),
        "revision": is("long"),
        "record": is("string"),
    }))
}

fn plugin_event() -> Document {
    rule(required(doc! {
        "_id": is("long"), "tenant": shop_or_none(), "slot": is("string"), "record": is("string"),
    }))
}

/// What was put together of several processes has no time.
fn plugin_statistic() -> Document {
    let part = doc! { "enum": ["live", "canary", "shadow"] };
    let mut schema = required(doc! {
        "_id": required(doc! {
            "t": name(), "s": is("string"), "d": hex_digest(), "part": part, "process": is("string"),
        }),
        "tenant": name(),
        "slot": is("string"),
        "record": is("string"),
    });
    if let Ok(properties) = schema.get_document_mut("properties") {
        properties.insert("reported_at", is("date"));
    }
    rule(schema)
}

fn plugin_counter() -> Document {
    rule(required(doc! { "_id": is("string"), "count": is("long") }))
}
