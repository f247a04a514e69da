//! The transaction that changes a stored product, or takes it away.

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::{
    ClientSession,
    bson::{Binary, Bson, Document, doc},
};
use taja_catalog::{
    ImageHash, PortResult, Product, ProductId, TenantId,
    port::{Edit, Edited},
};

use crate::{
    collections::Collections,
    document::{self, OPTIONAL, binary, key, search_key},
    error::mongo,
    filter, intents,
    legacy::{Legacy, migrate},
    texts::WORDED,
    transaction::Transaction,
    write::{count_up, tell_deleted},
};

/// An edit of one product.
pub(crate) struct EditOne<'a> {
    pub(crate) collections: &'a Collections,
    pub(crate) legacy: Option<&'a Legacy>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) product: &'a ProductId,
    /// The revision that it must be at.
    pub(crate) revision: u64,
    pub(crate) edit: &'a Edit,
}

#[async_trait]
impl Transaction for EditOne<'_> {
    type Answer = Edited;

    async fn run(&self, session: &mut ClientSession) -> PortResult<Edited> {
        if let Some(legacy) = self.legacy
            && let Some(old) = Legacy::key(self.product)
        {
            migrate::bring(self.collections, session, legacy, old).await?;
        }
        let find = self.collections.products.find_one(key(self.tenant, self.product));
        let Some(stored) = find.session(&mut *session).await.map_err(mongo)? else {
            return Ok(Edited::Missing);
        };
        let mut product = document::read_product(&stored)?;
        if product.revision != self.revision {
            return Ok(Edited::Changed);
        }
        let gone: Vec<_> = match self.edit {
            Edit::Describe { .. } => Vec::new(),
            Edit::RemoveOffer(offer) => {
                product.offers.retain(|known| known.id != *offer);
                Vec::new()
            }
            Edit::RemoveImages(images) => {
                let gone = product.images.extract_if(.., |image| images.contains(&image.hash));
                gone.map(|image| image.hash).collect()
            }
            Edit::Delete => product.images.iter().map(|image| image.hash).collect(),
        };
        let version = count_up(self.collections, session, self.tenant, &gone).await?;
        product.revision += 1;
        product.updated_at = Timestamp::now();
        let revision = product.revision;
        match self.edit {
            Edit::Describe { details, index_text } => {
                product.details = details.as_ref().clone();
                let text = index_text.as_deref().unwrap_or(document::text(&stored, "text")?);
                let worded = index_text.is_some().then_some(version);
                self.write(session, &product, text, worded).await?;
                self.write_search(session, &product, index_text.as_deref()).await?;
            }
            Edit::RemoveImages(_) | Edit::RemoveOffer(_) => {
                self.write(session, &product, document::text(&stored, "text")?, None).await?;
                self.write_search(session, &product, None).await?;
            }
            Edit::Delete => self.delete(session).await?,
        }
        let left_over = self.remove_images(session, &gone).await?;
        Ok(Edited::Done { revision, gone, left_over })
    }
}

impl EditOne<'_> {
    /// Words that changed did so with a version of the catalogue.
    async fn write(
        &self,
        session: &mut ClientSession,
        product: &Product,
        text: &str,
        worded: Option<i64>,
    ) -> PortResult<()> {
        let mut set = document::product(product, text);
        set.extend(worded.map(|version| (WORDED.to_owned(), version.into())));
        let gone = OPTIONAL.iter().filter(|name| !set.contains_key(**name));
        let gone: Document = gone.map(|name| ((*name).to_owned(), Bson::from(""))).collect();
        let mut update = doc! { "$set": set };
        if !gone.is_empty() {
            update.insert("$unset", gone);
        }
        let products = &self.collections.products;
        let update = products.update_one(key(self.tenant, self.product), update);
        update.session(session).await.map_err(mongo)?;
        Ok(())
    }

    /// Terms are as they were unless there is another text.
    async fn write_search(
        &self,
        session: &mut ClientSession,
        product: &Product,
        text: Option<&str>,
    ) -> PortResult<()> {
        let (search, key) = (&self.collections.search, search_key(self.tenant, self.product));
        match text {
            Some(text) => {
                let replace = search.replace_one(key, document::search(product, text));
                replace.session(session).await.map_err(mongo)?;
            }
            None => {
                let changed = doc! {
                    "fields": filter::entries(product.into()), "updated_at": document::date(product.updated_at),
                };
                search.update_one(key, doc! { "$set": changed }).session(session).await.map_err(mongo)?;
            }
        }
        Ok(())
    }

    async fn delete(&self, session: &mut ClientSession) -> PortResult<()> {
        tell_deleted(self.collections, session, self.tenant, self.product).await?;
        let products = &self.collections.products;
        let delete = products.delete_one(key(self.tenant, self.product)).session(&mut *session);
        delete.await.map_err(mongo)?;
        let delete =
            self.collections.search.delete_one(search_key(self.tenant, self.product)).session(session);
        delete.await.map_err(mongo)?;
        Ok(())
    }

    /// Takes pictures away with their vectors; those that nobody wants.
    async fn remove_images(
        &self,
        session: &mut ClientSession,
        gone: &[ImageHash],
    ) -> PortResult<Vec<ImageHash>> {
        let mut left_over = Vec::new();
        if gone.is_empty() {
            return Ok(left_over);
        }
        let Self { collections, tenant, .. } = self;
        let hashes: Vec<Binary> = gone.iter().map(binary).collect();
        let pictures = doc! { "tenant": tenant.as_str(), "hash": { "$in": &hashes } };
        collections.images.delete_many(pictures).session(&mut *session).await.map_err(mongo)?;
        for space in self.spaces(session).await? {
            let vectors = doc! { "space": space, "tenant": tenant.as_str(), "image": { "$in": &hashes } };
            collections.vectors.delete_many(vectors).session(&mut *session).await.map_err(mongo)?;
        }
        for image in gone {
            if intents::give_up(collections, session, tenant, image).await? {
                left_over.push(*image);
            }
        }
        Ok(left_over)
    }

    /// The spaces that vectors may be of: the index of vectors begins with them.
    async fn spaces(&self, session: &mut ClientSession) -> PortResult<Vec<String>> {
        let find = self.collections.spaces.find(doc! {}).projection(doc! { "_id": 1 });
        let mut found = find.session(&mut *session).await.map_err(mongo)?;
        let mut spaces = Vec::new();
        while let Some(space) = found.next(session).await {
            spaces.push(document::text(&space.map_err(mongo)?, "_id")?.to_owned());
        }
        Ok(spaces)
    }
}
