//! Which model serves, and the vectors of several.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use futures::TryStreamExt;
use mongodb::{
    ClientSession,
    bson::{Document, doc, oid::ObjectId},
    options::Hint,
};
use taja_catalog::{
    ImageHash, PortResult, Space, TenantId,
    models::{CatalogueImage, Chosen, ModelChoice, ModelStore},
    port::{PortErrorKind, Position, VectorRow},
};

use crate::{
    collections::Collections,
    deadline::{READ, WRITE, within},
    document::{self, binary, hash, id},
    error::{damaged, failed, mongo, unless_taken},
    legacy,
    lookup::{self, at_most},
    plugins::{record, text},
    store::MongoStore,
    transaction::{Transaction, transact},
    vectors,
    write::{count_up, note_space},
};

/// The only document of its collection.
const ONLY: &str = "model";
/// Pictures that are looked at together.
const PAGE: i64 = 1000;
/// Times that vectors are added again when others added some of them meanwhile.
const MEETINGS: u32 = 5;

#[async_trait]
impl ModelStore for MongoStore {
    async fn choice(&self) -> PortResult<Option<ModelChoice>> {
        within(READ, "model_choice", async {
            let found = self.collections.model.find_one(doc! { "_id": ONLY }).await.map_err(mongo)?;
            found.as_ref().map(record).transpose()
        })
        .await
    }

    async fn choose(&self, choice: &ModelChoice, lacking: u64) -> PortResult<Chosen> {
        let choose = Choose { collections: &self.collections, choice, lacking };
        within(WRITE, "choose_model", transact(self.collections.client(), &choose)).await
    }

    async fn images_without(
        &self,
        space: &Space,
        after: Option<&Position>,
        limit: usize,
    ) -> PortResult<Vec<(Position, CatalogueImage)>> {
        let after = after.map(|after| after.0.parse::<ObjectId>()).transpose();
        let after = after.map_err(|_| failed(PortErrorKind::Invalid, "position is not one of this store"))?;
        within(READ, "images_without", async {
            if after.is_none() && self.has_legacy() && legacy::counts(&self.collections).await?.products > 0 {
                let message = "products of the older service are still in its form: `taja migrate` first";
                return Err(failed(PortErrorKind::Invalid, message));
            }
            without(&self.collections, space, after, limit).await
        })
        .await
    }

    async fn add_vectors(&self, space: &Space, rows: Vec<VectorRow>) -> PortResult<()> {
        if let Some(other) = rows.iter().find(|row| row.embedding.dimension() != space.dimension) {
            let found = other.embedding.dimension();
            let message = format!("vector has {found} components, its space has {}", space.dimension);
            return Err(failed(PortErrorKind::Invalid, message));
        }
        let add = Add { collections: &self.collections, space, rows: &rows };
        let mut attempt = 1;
        loop {
            match within(WRITE, "add_vectors", transact(self.collections.client(), &add)).await {
                Err(error) if error.kind == PortErrorKind::Conflict && attempt < MEETINGS => attempt += 1,
                added => return added,
            }
        }
    }

    async fn forget_vectors(&self, space: &str, limit: usize) -> PortResult<u64> {
        let forget = Forget { collections: &self.collections, space, limit };
        within(WRITE, "forget_vectors", transact(self.collections.client(), &forget)).await
    }
}

async fn choice(collections: &Collections, session: &mut ClientSession) -> PortResult<Option<ModelChoice>> {
    let found = collections.model.find_one(doc! { "_id": ONLY }).session(session).await.map_err(mongo)?;
    found.as_ref().map(record).transpose()
}

/// Refuses pictures with vectors of a space that does not serve, as the transaction's snapshot has it.
pub(crate) async fn must_serve(
    collections: &Collections,
    session: &mut ClientSession,
    space: &Space,
) -> PortResult<()> {
    let find = collections.model.find_one(doc! { "_id": ONLY }).projection(doc! { "active": 1 });
    let Some(found) = find.session(session).await.map_err(mongo)? else { return Ok(()) };
    match document::text(&found, "active")? {
        active if active == space.id => Ok(()),
        active => Err(failed(PortErrorKind::Unavailable, format!("vectors of {active} serve now"))),
    }
}

struct Choose<'a> {
    collections: &'a Collections,
    choice: &'a ModelChoice,
    lacking: u64,
}

#[async_trait]
impl Transaction for Choose<'_> {
    type Answer = Chosen;

    async fn run(&self, session: &mut ClientSession) -> PortResult<Chosen> {
        let Self { collections, choice, lacking } = self;
        let stored = self::choice(collections, session).await?;
        if stored.as_ref().map_or(0, |stored| stored.revision) + 1 != choice.revision {
            return Ok(Chosen::Changed);
        }
        if stored.is_some_and(|stored| stored.active != choice.active) {
            // Each vector has its picture, so that counting both is enough.
            let of_space = doc! { "space": &choice.active.id };
            // Keys are counted, not documents.
            let keys = Hint::Name("_id_".into());
            let images = collections.images.count_documents(doc! {}).hint(keys).session(&mut *session);
            let images = images.await.map_err(mongo)?;
            let vectors = collections.vectors.count_documents(of_space).session(&mut *session);
            if images.saturating_sub(vectors.await.map_err(mongo)?) > *lacking {
                return Ok(Chosen::Incomplete);
            }
        }
        let document = doc! {
            "_id": ONLY,
            "revision": choice.revision.cast_signed(),
            "active": &choice.active.id,
            "record": text(choice)?,
        };
        let replaced = collections.model.replace_one(doc! { "_id": ONLY }, document).upsert(true);
        replaced.session(session).await.map_err(mongo)?;
        Ok(Chosen::Stored)
    }
}

/// Pictures without a vector, in the order of their documents; it looks at as many as it takes to find one.
async fn without(
    collections: &Collections,
    space: &Space,
    mut after: Option<ObjectId>,
    limit: usize,
) -> PortResult<Vec<(Position, CatalogueImage)>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    loop {
        let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": after } });
        let find = collections.images.find(filter).sort(doc! { "_id": 1 }).limit(PAGE);
        let find = find.projection(doc! { "tenant": 1, "hash": 1, "product": 1 });
        let page: Vec<_> = find.await.map_err(mongo)?.try_collect().await.map_err(mongo)?;
        let Some(last) = page.last() else { return Ok(Vec::new()) };
        after = Some(last.get_object_id("_id").map_err(|error| damaged("image", error))?);
        let mut found = of_page(collections, space, &page).await?;
        found.truncate(limit);
        if !found.is_empty() {
            return Ok(found);
        }
    }
}

/// Those of a page's pictures that have no vector, with what their products say of them.
async fn of_page(
    collections: &Collections,
    space: &Space,
    page: &[Document],
) -> PortResult<Vec<(Position, CatalogueImage)>> {
    let mut found = Vec::new();
    for (tenant, pictures) in by_shop(page)? {
        let hashes: Vec<_> = pictures.iter().map(|(hash, _)| *hash).collect();
        let with =
            doc! { "space": &space.id, "tenant": tenant.as_str(), "image": { "$in": binaries(&hashes) } };
        let with = collections.vectors.find(with).projection(doc! { "image": 1 }).await.map_err(mongo)?;
        let with: Vec<_> = with.try_collect().await.map_err(mongo)?;
        let with: HashSet<_> = with.iter().map(|vector| hash(vector, "image")).collect::<PortResult<_>>()?;
        let without: Vec<_> = pictures.into_iter().filter(|(hash, _)| !with.contains(hash)).collect();
        let ids: BTreeSet<_> =
            without.iter().map(|(_, picture)| id(picture, "product")).collect::<PortResult<_>>()?;
        let products = lookup::products(collections, &tenant, &Vec::from_iter(ids)).await?;
        for (hash, picture) in without {
            let product = id(picture, "product")?;
            // One whose product is gone is going, too.
            let images = products.get(&product).map_or(&[][..], |product| &product.images);
            let Some(image) = images.iter().find(|image| image.hash == hash) else { continue };
            let place = picture.get_object_id("_id").map_err(|error| damaged("image", error))?;
            let image = CatalogueImage { tenant: tenant.clone(), product, image: image.clone() };
            found.push((Position(place.to_hex()), image));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
    Ok(found)
}

fn by_shop(page: &[Document]) -> PortResult<BTreeMap<TenantId, Vec<(ImageHash, &Document)>>> {
    let mut shops: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for picture in page {
        shops.entry(id(picture, "tenant")?).or_default().push((hash(picture, "hash")?, picture));
    }
    Ok(shops)
}

fn binaries(hashes: &[ImageHash]) -> Vec<mongodb::bson::Binary> {
    hashes.iter().map(binary).collect()
}

struct Add<'a> {
    collections: &'a Collections,
    space: &'a Space,
    rows: &'a [VectorRow],
}

#[async_trait]
impl Transaction for Add<'_> {
    type Answer = ();

    async fn run(&self, session: &mut ClientSession) -> PortResult<()> {
        let Self { collections, space, rows } = self;
        note_space(collections, session, space).await?;
        let mut shops: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for row in *rows {
            shops.entry(&row.tenant).or_default().insert(row.image, row);
        }
        for (tenant, mut rows) in shops {
            let hashes = binaries(&Vec::from_iter(rows.keys().copied()));
            let with = doc! { "space": &space.id, "tenant": tenant.as_str(), "image": { "$in": &hashes } };
            let with = collections.vectors.find(with).projection(doc! { "image": 1 });
            let mut with = with.session(&mut *session).await.map_err(mongo)?;
            while let Some(vector) = with.next(session).await {
                rows.remove(&hash(&vector.map_err(mongo)?, "image")?);
            }
            let there = doc! { "tenant": tenant.as_str(), "hash": { "$in": hashes } };
            let mut there = collections.images.find(there).session(&mut *session).await.map_err(mongo)?;
            let mut new = Vec::new();
            while let Some(picture) = there.next(session).await {
                let picture = picture.map_err(mongo)?;
                if let Some(row) = rows.get(&hash(&picture, "hash")?) {
                    let product = id(&picture, "product")?;
                    new.push(vectors::document(space, tenant, &product, &row.image, &row.embedding));
                }
            }
            if !new.is_empty() {
                count_up(collections, session, tenant, &[]).await?;
                let added = collections.vectors.insert_many(new).session(&mut *session).await;
                unless_taken(added, || "a vector".to_owned())?;
            }
        }
        Ok(())
    }
}

struct Forget<'a> {
    collections: &'a Collections,
    space: &'a str,
    limit: usize,
}

#[async_trait]
impl Transaction for Forget<'_> {
    type Answer = u64;

    async fn run(&self, session: &mut ClientSession) -> PortResult<u64> {
        let Self { collections, space, limit } = self;
        if choice(collections, session).await?.is_some_and(|choice| choice.needs(space)) {
            return Err(failed(PortErrorKind::Conflict, format!("vectors of {space} are needed")));
        }
        let Some(limit) = at_most(*limit) else { return Ok(0) };
        let find = collections.vectors.find(doc! { "space": space }).sort(doc! { "_id": 1 }).limit(limit);
        let find = find.projection(doc! { "_id": 1 }).session(&mut *session);
        let mut found = find.await.map_err(mongo)?;
        let mut ids = Vec::new();
        while let Some(vector) = found.next(session).await {
            let vector = vector.map_err(mongo)?;
            ids.push(vector.get_object_id("_id").map_err(|error| damaged("vector", error))?);
        }
        let removed = collections.vectors.delete_many(doc! { "_id": { "$in": ids } });
        Ok(removed.session(session).await.map_err(mongo)?.deleted_count)
    }
}
