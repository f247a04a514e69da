//! Vectors: one document each, in the form that the server's own vector search reads.

use futures::TryStreamExt;
use mongodb::bson::{Binary, Bson, Document, binary::Vector, doc, oid::ObjectId};
use taja_catalog::{
    Embedding, ImageHash, PortResult, ProductId, Space, TenantId,
    port::{PortErrorKind, Position, VectorRow},
};

use crate::{
    collections::Collections,
    document::{binary, hash, id},
    error::{damaged, failed, mongo},
};

/// The document of a vector: its space, shop, image (32 bytes), product, and components as 32-bit floats.
pub(crate) fn document(
    space: &Space,
    tenant: &TenantId,
    product: &ProductId,
    image: &ImageHash,
    embedding: &Embedding,
) -> Document {
    let components = Vector::Float32(embedding.as_slice().to_vec());
    doc! {
        "_id": ObjectId::new(),
        "space": &space.id,
        "tenant": tenant.as_str(),
        "image": binary(image),
        "product": product.as_str(),
        "vector": Binary::from(components),
    }
}

/// Reads what [`document`] made.
pub(crate) fn row(document: &Document, space: &Space) -> PortResult<VectorRow> {
    let Some(Bson::Binary(stored)) = document.get("vector") else {
        return Err(damaged("vector", "it is not binary"));
    };
    let Vector::Float32(components) = Vector::try_from(stored).map_err(|error| damaged("vector", error))?
    else {
        return Err(damaged("vector", "it has no 32-bit floats"));
    };
    let embedding =
        Embedding::normalised(components, space.dimension).map_err(|error| damaged("vector", error))?;
    Ok(VectorRow {
        tenant: id(document, "tenant")?,
        product: id(document, "product")?,
        image: hash(document, "image")?,
        embedding,
    })
}

/// Where a reader of vectors stands: documents of an older service come first, so that one which is brought to the
/// new form meanwhile comes again rather than never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// After this vector of a document of an older service.
    Old(ObjectId, usize),
    /// After this vector.
    New(ObjectId),
}

impl Place {
    /// Reads what [`Place::position`] wrote.
    pub(crate) fn parse(position: &Position) -> PortResult<Self> {
        let read = || {
            let (kind, rest) = position.0.split_once(':')?;
            match kind {
                "new" => rest.parse().ok().map(Self::New),
                "old" => {
                    let (document, number) = rest.split_once(':')?;
                    Some(Self::Old(document.parse().ok()?, number.parse().ok()?))
                }
                _ => None,
            }
        };
        read().ok_or_else(|| failed(PortErrorKind::Invalid, "position is not one of this store"))
    }

    /// The place as text.
    pub(crate) fn position(self) -> Position {
        Position(match self {
            Self::Old(document, number) => format!("old:{document}:{number}"),
            Self::New(document) => format!("new:{document}"),
        })
    }
}

/// Vectors of a space in the order of their documents, after one of them.
pub(crate) async fn after(
    collections: &Collections,
    space: &Space,
    after: Option<ObjectId>,
    limit: usize,
) -> PortResult<Vec<(Position, VectorRow)>> {
    let mut filter = doc! { "space": &space.id };
    if let Some(after) = after {
        filter.insert("_id", doc! { "$gt": after });
    }
    let find = collections.vectors.find(filter).sort(doc! { "_id": 1 });
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut cursor = find.limit(limit).await.map_err(mongo)?;
    let mut rows = Vec::new();
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        let id = document.get_object_id("_id").map_err(|error| damaged("vector", error))?;
        rows.push((Place::New(id).position(), row(&document, space)?));
    }
    Ok(rows)
}

/// The vectors of these pictures in a space.
pub(crate) async fn of_images(
    collections: &Collections,
    space: &Space,
    tenant: &TenantId,
    images: impl Iterator<Item = &ImageHash>,
) -> PortResult<Vec<VectorRow>> {
    let images: Vec<_> = images.map(binary).collect();
    let wanted = doc! { "space": &space.id, "tenant": tenant.as_str(), "image": { "$in": images } };
    let mut cursor = collections.vectors.find(wanted).await.map_err(mongo)?;
    let mut rows = Vec::new();
    while let Some(document) = cursor.try_next().await.map_err(mongo)? {
        rows.push(row(&document, space)?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text_form_and_another_stores_is_refused() {
        let id = ObjectId::new();
        for place in [Place::Old(id, 7), Place::New(id)] {
            assert_eq!(Place::parse(&place.position()).unwrap(), place);
        }
        for text in ["", "7", "new:", "old:x:1", "new:12:3"] {
            assert_eq!(Place::parse(&Position(text.into())).unwrap_err().kind, PortErrorKind::Invalid);
        }
    }
}
