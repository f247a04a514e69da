//! What executions said they would host, so that what they leave behind is found.
//!
//! One document per picture: `effects` wants it, or nobody does and it is `removing`. Whoever decides about a picture
//! writes its document inside a transaction, so that of two who decide at once one begins again: `writes` is counted up
//! because a write that changes nothing is none to the server.

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
    options::ReturnDocument,
};
use taja_catalog::{
    EffectKey, ImageHash, PortError, PortResult, TenantId,
    port::{Intent, PortErrorKind},
};

use crate::{
    collections::Collections,
    document::{date, hash, id, image_key},
    error::{damaged, failed, is_duplicate, mongo},
    legacy::Legacy,
    lookup,
    transaction::Transaction,
};

/// An execution is about to host pictures.
pub(crate) struct Intend<'a> {
    pub(crate) collections: &'a Collections,
    pub(crate) tenant: &'a TenantId,
    pub(crate) effect: &'a EffectKey,
    pub(crate) images: &'a [ImageHash],
}

#[async_trait]
impl Transaction for Intend<'_> {
    type Answer = ();

    async fn run(&self, session: &mut ClientSession) -> PortResult<()> {
        let now = date(Timestamp::now());
        for image in self.images {
            // A picture that is being removed is not found, and cannot be added a second time.
            let wanted = doc! { "_id": image_key(self.tenant, image), "removing": false };
            let update = doc! {
                "$addToSet": { "effects": self.effect.as_str() },
                "$set": { "at": now },
                "$inc": { "writes": 1_i64 },
            };
            let update =
                self.collections.intents.update_one(wanted, update).upsert(true).session(&mut *session);
            update.await.map_err(
                |error| {
                    if is_duplicate(&error) { being_removed(image) } else { mongo(error) }
                },
            )?;
        }
        Ok(())
    }
}

/// An execution takes back what it intended for one picture.
pub(crate) struct Withdraw<'a> {
    pub(crate) collections: &'a Collections,
    pub(crate) legacy: Option<&'a Legacy>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) effect: &'a EffectKey,
    pub(crate) image: &'a ImageHash,
}

#[async_trait]
impl Transaction for Withdraw<'_> {
    type Answer = bool;

    async fn run(&self, session: &mut ClientSession) -> PortResult<bool> {
        let key = doc! { "_id": image_key(self.tenant, self.image) };
        let taken_back = doc! { "$pull": { "effects": self.effect.as_str() } };
        match touch(self.collections, session, &key, taken_back).await? {
            Wanted::Nobody => {}
            Wanted::ByEffects => return Ok(false),
            Wanted::Removing => return Ok(true),
        }
        if self.is_stored(session).await? {
            self.collections.intents.delete_one(key).session(session).await.map_err(mongo)?;
            return Ok(false);
        }
        begin_removal(self.collections, session, key).await?;
        Ok(true)
    }
}

/// Who wants a picture, by its document.
enum Wanted {
    /// No execution.
    Nobody,
    /// One or more.
    ByEffects,
    /// Nobody may: it is being removed.
    Removing,
}

/// Changes a picture's document, which is there from then on, so that whoever else decides about the picture meets this.
async fn touch(
    collections: &Collections,
    session: &mut ClientSession,
    key: &Document,
    change: Document,
) -> PortResult<Wanted> {
    let mut update = doc! {
        "$inc": { "writes": 1_i64 },
        "$setOnInsert": { "removing": false, "at": date(Timestamp::now()) },
    };
    update.extend(change);
    let touched = collections.intents.find_one_and_update(key.clone(), update).upsert(true);
    let touched = touched.return_document(ReturnDocument::After).session(session).await.map_err(mongo)?;
    let touched = touched.ok_or_else(|| damaged("intent", "it vanished while it was written"))?;
    Ok(if touched.get_bool("removing").unwrap_or_default() {
        Wanted::Removing
    } else if touched.get_array("effects").is_ok_and(|effects| !effects.is_empty()) {
        Wanted::ByEffects
    } else {
        Wanted::Nobody
    })
}

async fn begin_removal(
    collections: &Collections,
    session: &mut ClientSession,
    key: Document,
) -> PortResult<()> {
    let removal = doc! { "$set": { "removing": true, "at": date(Timestamp::now()) } };
    collections.intents.update_one(key, removal).session(session).await.map_err(mongo)?;
    Ok(())
}

/// Notes that a picture which no product has any more is being removed, if nobody intends it; whether that is so.
pub(crate) async fn give_up(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    image: &ImageHash,
) -> PortResult<bool> {
    let key = doc! { "_id": image_key(tenant, image) };
    match touch(collections, session, &key, Document::new()).await? {
        Wanted::Nobody => begin_removal(collections, session, key).await?,
        Wanted::ByEffects => return Ok(false),
        Wanted::Removing => {}
    }
    Ok(true)
}

impl Withdraw<'_> {
    async fn is_stored(&self, session: &mut ClientSession) -> PortResult<bool> {
        if lookup::image_document(self.collections, session, self.tenant, self.image).await?.is_some() {
            return Ok(true);
        }
        match self.legacy.filter(|legacy| legacy.tenant == *self.tenant) {
            Some(_) => {
                Legacy::taken(self.collections, session, &[*self.image]).await.map(|taken| taken.is_some())
            }
            None => Ok(false),
        }
    }
}

/// Takes back the intents of a commit's pictures inside its transaction; `Conflict` when one is being removed.
pub(crate) async fn fulfil(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    effect: &EffectKey,
    images: &[ImageHash],
) -> PortResult<()> {
    let keys: Vec<_> = images.iter().map(|image| image_key(tenant, image)).collect();
    let now = date(Timestamp::now());
    let touch = |key: &Document| {
        let update = doc! {
            "$pull": { "effects": effect.as_str() },
            "$inc": { "writes": 1_i64 },
            "$setOnInsert": { "removing": false, "at": now },
        };
        doc! { "q": { "_id": key }, "u": update, "upsert": true }
    };
    let updates: Vec<_> = keys.iter().map(touch).collect();
    let command = doc! { "update": collections.intents.name(), "updates": updates };
    let written = collections.database.run_command(command).session(&mut *session).await.map_err(mongo)?;
    if let Ok(errors) = written.get_array("writeErrors") {
        return Err(failed(PortErrorKind::Broken, format!("intents could not be written: {errors:?}")));
    }
    let removing = doc! { "_id": { "$in": &keys }, "removing": true };
    let removing = collections.intents.find_one(removing).session(&mut *session).await.map_err(mongo)?;
    if let Some(removing) = removing {
        let key = removing.get_document("_id").map_err(|error| damaged("intent", error))?;
        return Err(being_removed(&hash(key, "h")?));
    }
    let done = doc! { "_id": { "$in": &keys }, "effects": { "$in": [[], null] } };
    collections.intents.delete_many(done).session(session).await.map_err(mongo)?;
    Ok(())
}

/// The picture is gone from the image host.
pub(crate) async fn removed(
    collections: &Collections,
    tenant: &TenantId,
    image: &ImageHash,
) -> PortResult<()> {
    let removing = doc! { "_id": image_key(tenant, image), "removing": true };
    collections.intents.delete_one(removing).await.map_err(mongo)?;
    Ok(())
}

/// Intents and unfinished removals last touched before a moment, oldest first.
pub(crate) async fn before(
    collections: &Collections,
    moment: Timestamp,
    limit: usize,
) -> PortResult<Vec<Intent>> {
    let Some(limit) = lookup::at_most(limit) else { return Ok(Vec::new()) };
    let old = doc! { "at": { "$lt": date(moment) } };
    let cursor = collections.intents.find(old).sort(doc! { "at": 1, "_id": 1 }).limit(limit);
    let documents: Vec<_> = cursor.await.map_err(mongo)?.try_collect().await.map_err(mongo)?;
    documents.iter().map(read).collect()
}

fn read(document: &Document) -> PortResult<Intent> {
    let key = document.get_document("_id").map_err(|error| damaged("intent", error))?;
    let effects = document.get_array("effects").map(Vec::as_slice).unwrap_or_default();
    let effect = |stored: &mongodb::bson::Bson| {
        let text = stored.as_str().ok_or_else(|| damaged("intent", "an effect is no text"))?;
        text.parse().map_err(|error: taja_catalog::id::InvalidId| damaged("intent", error))
    };
    Ok(Intent {
        tenant: id(key, "t")?,
        image: hash(key, "h")?,
        effects: effects.iter().map(effect).collect::<PortResult<_>>()?,
    })
}

fn being_removed(image: &ImageHash) -> PortError {
    failed(PortErrorKind::Conflict, format!("image {image} is being removed"))
}
