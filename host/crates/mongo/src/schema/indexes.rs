//! The indexes. A compound one begins with the shop, as every question does.

use mongodb::bson::{Document, doc};

/// Every collection's indexes; `products` is the name of the collection of products.
pub(super) fn all(products: &str) -> [(&str, Vec<Document>); 13] {
    [
        (products, of_products()),
        ("search", of_search()),
        ("images", of_images()),
        ("vectors", of_vectors()),
        (
            "receipts",
            vec![
                doc! { "name": "taja_products", "key": { "tenant": 1, "products": 1, "at": -1, "_id.e": -1 } },
            ],
        ),
        ("intents", vec![doc! { "name": "taja_age", "key": { "at": 1 } }]),
        ("api_keys", vec![doc! { "name": "taja_shop", "key": { "tenant": 1 } }]),
        ("judgements", vec![doc! { "name": "taja_shop", "key": { "tenant": 1 } }]),
        ("plugin_versions", vec![doc! { "name": "taja_owner", "key": { "owner": 1 } }]),
        (
            "plugin_pieces",
            vec![doc! { "name": "taja_piece", "key": { "digest": 1, "n": 1 }, "unique": true }],
        ),
        (
            "plugin_activations",
            vec![doc! { "name": "taja_revision", "key": { "revision": 1 }, "unique": true }],
        ),
        ("plugin_events", vec![doc! { "name": "taja_shop", "key": { "tenant": 1, "_id": -1 } }]),
        (
            "plugin_statistics",
            vec![
                // The slot first: an operator asks about every shop's.
                doc! { "name": "taja_slot", "key": { "slot": 1, "tenant": 1 } },
                doc! { "name": "taja_age", "key": { "reported_at": 1 } },
            ],
        ),
    ]
}

fn of_products() -> Vec<Document> {
    vec![
        // Partial: documents of an older service have neither field, and would all be the same.
        doc! { "name": "taja_product", "key": { "tenant": 1, "id": 1 }, "unique": true,
        "partialFilterExpression": { "tenant": { "$exists": true } } },
        // The order in which texts changed.
        doc! { "name": "taja_worded", "key": { "tenant": 1, "worded": 1, "id": 1 },
        "partialFilterExpression": { "tenant": { "$exists": true } } },
        // Finds documents of an older service, which have no tenant.
        doc! { "name": "taja_old", "key": { "tenant": 1, "_id": 1 } },
        // Finds a picture in them. Hex digits were written in both cases.
        doc! { "name": "taja_old_images", "key": { "image_hashes": 1 },
        "collation": { "locale": "en", "strength": 2 } },
    ]
}

fn of_search() -> Vec<Document> {
    vec![
        doc! { "name": "taja_newest", "key": { "tenant": 1, "created_at": -1, "product": -1 } },
        doc! { "name": "taja_changed", "key": { "tenant": 1, "updated_at": -1, "product": -1 } },
        doc! { "name": "taja_fields", "key": { "tenant": 1, "fields.k": 1, "fields.v": 1 } },
        doc! { "name": "taja_words", "default_language": "none",
        "key": { "tenant": 1, "name": "text", "text": "text", "beginnings": "text" } },
        doc! { "name": "taja_pieces", "key": { "tenant": 1, "pieces": 1 } },
    ]
}

fn of_images() -> Vec<Document> {
    vec![
        doc! { "name": "taja_image", "key": { "tenant": 1, "hash": 1 }, "unique": true },
        doc! { "name": "taja_bands", "key": { "tenant": 1, "bands": 1 } },
        // Covers the comparison with every picture.
        doc! { "name": "taja_look", "key": { "tenant": 1, "look": 1, "hash": 1, "product": 1 } },
    ]
}

fn of_vectors() -> Vec<Document> {
    vec![
        doc! { "name": "taja_vector", "key": { "space": 1, "tenant": 1, "image": 1 }, "unique": true },
        doc! { "name": "taja_order", "key": { "space": 1, "_id": 1 } },
    ]
}
