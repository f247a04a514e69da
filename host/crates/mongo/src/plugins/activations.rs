//! Activations, and what was done to them.

use async_trait::async_trait;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
    options::ReturnDocument,
};
use taja_catalog::{
    PluginDigest, PortResult, TenantId,
    plugins::{Activation, Event, Slot},
    port::PortErrorKind,
};

use super::{name, record, records, text, versions};
use crate::{
    collections::Collections,
    document::whole,
    error::{damaged, failed, mongo},
    lookup::at_most,
    transaction::Transaction,
};

/// Stores an activation and a line of its history, and answers the new revision.
pub(super) struct Change<'a> {
    pub(super) collections: &'a Collections,
    pub(super) activation: &'a Activation,
    pub(super) event: &'a Event,
}

#[async_trait]
impl Transaction for Change<'_> {
    type Answer = u64;

    async fn run(&self, session: &mut ClientSession) -> PortResult<u64> {
        // First what all changes meet on, so that they become visible in the order of their revisions.
        let revision = next_revision(self.collections, session).await?;
        self.check(session).await?;
        let activation = Activation { revision: revision.cast_unsigned(), ..self.activation.clone() };
        let key = key(activation.tenant.as_ref(), &activation.slot);
        let stored = doc! { "_id": &key, "revision": revision, "record": text(&activation)? };
        let activations = &self.collections.plugin_activations;
        let replaced = activations.replace_one(doc! { "_id": key }, stored).upsert(true);
        replaced.session(&mut *session).await.map_err(mongo)?;
        let line = doc! {
            "_id": revision,
            "tenant": name(self.event.tenant.as_ref()),
            "slot": self.event.slot.to_string(),
            "record": text(self.event)?,
        };
        self.collections.plugin_events.insert_one(line).session(session).await.map_err(mongo)?;
        Ok(activation.revision)
    }
}

impl Change<'_> {
    /// `Conflict` unless the change was made from what is stored, and everything it brings is kept.
    async fn check(&self, session: &mut ClientSession) -> PortResult<()> {
        let Activation { tenant, slot, revision, .. } = self.activation;
        let stored = doc! { "_id": key(tenant.as_ref(), slot) };
        let stored = self.collections.plugin_activations.find_one(stored).session(&mut *session);
        let stored: Option<Activation> = stored.await.map_err(mongo)?.as_ref().map(record).transpose()?;
        if stored.as_ref().map_or(0, |stored| stored.revision) != *revision {
            return Err(failed(PortErrorKind::Conflict, format!("{slot} was changed by somebody else")));
        }
        for digest in self.activation.newly_held(stored.as_ref()) {
            let own = versions::is_kept(self.collections, session, tenant.as_ref(), &digest).await?;
            if !own && !versions::is_kept(self.collections, session, None, &digest).await? {
                return Err(failed(PortErrorKind::Conflict, format!("version {digest} is not kept")));
            }
        }
        Ok(())
    }
}

/// Takes the next revision, and with it the document that all changes write.
pub(super) async fn next_revision(collections: &Collections, session: &mut ClientSession) -> PortResult<i64> {
    let update = doc! { "$inc": { "count": 1_i64 } };
    let counted = collections.plugin_counters.find_one_and_update(doc! { "_id": "revision" }, update);
    let counted = counted.upsert(true).return_document(ReturnDocument::After).session(session);
    let counted = counted.await.map_err(mongo)?;
    let count = counted.and_then(|counter| whole(counter.get("count")?));
    count.ok_or_else(|| damaged("counter", "it has no count"))
}

/// The slots that hold a version.
pub(super) async fn holders(
    collections: &Collections,
    session: &mut ClientSession,
    owner: Option<&TenantId>,
    digest: &PluginDigest,
) -> PortResult<Vec<(Option<TenantId>, Slot)>> {
    let rows = collections.plugin_activations.find(doc! {}).sort(doc! { "revision": 1 });
    let mut rows = rows.session(&mut *session).await.map_err(mongo)?;
    let mut holders = Vec::new();
    while let Some(row) = rows.next(session).await {
        let row: Activation = record(&row.map_err(mongo)?)?;
        let tenant = row.tenant.as_ref();
        if row.may_hold(owner, digest)
            && (tenant == owner || !versions::is_kept(collections, session, tenant, digest).await?)
        {
            holders.push((row.tenant, row.slot));
        }
    }
    Ok(holders)
}

/// The activations that changed after a revision, in the order of their revisions.
pub(super) async fn after(collections: &Collections, revision: u64) -> PortResult<Vec<Activation>> {
    let later = doc! { "revision": { "$gt": i64::try_from(revision).unwrap_or(i64::MAX) } };
    let found = collections.plugin_activations.find(later).sort(doc! { "revision": 1 });
    records(found.await.map_err(mongo)?).await
}

pub(super) async fn one(
    collections: &Collections,
    tenant: Option<&TenantId>,
    slot: &Slot,
) -> PortResult<Option<Activation>> {
    let activation = doc! { "_id": key(tenant, slot) };
    let found = collections.plugin_activations.find_one(activation).await.map_err(mongo)?;
    found.as_ref().map(record).transpose()
}

/// What happened to a shop's slots, the latest change first.
pub(super) async fn history(
    collections: &Collections,
    tenant: Option<&TenantId>,
    slot: Option<&Slot>,
    limit: usize,
) -> PortResult<Vec<Event>> {
    let Some(limit) = at_most(limit) else { return Ok(Vec::new()) };
    let mut lines = doc! { "tenant": name(tenant) };
    if let Some(slot) = slot {
        lines.insert("slot", slot.to_string());
    }
    let found = collections.plugin_events.find(lines).sort(doc! { "_id": -1 }).limit(limit);
    records(found.await.map_err(mongo)?).await
}

fn key(tenant: Option<&TenantId>, slot: &Slot) -> Document {
    doc! { "t": name(tenant), "s": slot.to_string() }
}
