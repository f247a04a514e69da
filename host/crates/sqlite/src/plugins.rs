//! Plugins: their versions, what is active where, and how it has been doing.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use taja_catalog::{
    PluginDigest, PortResult, TenantId,
    plugins::{Activation, Event, PluginStore, Removal, Slot, Statistic, Version},
    port::PortErrorKind,
};

use crate::{
    error::{failed, sqlite},
    records::{records, text},
    store::SqliteStore,
};

#[async_trait]
impl PluginStore for SqliteStore {
    async fn add_version(&self, version: &Version, component: Bytes) -> PortResult<bool> {
        let version = version.clone();
        let add = move |connection: &mut Connection| add_version(connection, &version, &component);
        self.writer.call("add_plugin_version", add).await
    }

    async fn sign_version(
        &self,
        owner: Option<&TenantId>,
        digest: &PluginDigest,
        signature: &str,
        signer: Option<&str>,
    ) -> PortResult<bool> {
        let (owner, digest) = (owner.cloned(), *digest);
        let (signature, signer) = (signature.to_owned(), signer.map(str::to_owned));
        let sign = move |connection: &mut Connection| {
            sign_version(connection, owner.as_ref(), &digest, signature, signer)
        };
        self.writer.call("sign_plugin_version", sign).await
    }

    async fn version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Option<Version>> {
        let (owner, digest) = (owner.cloned(), *digest);
        self.read("plugin_version", move |connection| version(connection, owner.as_ref(), &digest)).await
    }

    async fn versions(&self, owner: Option<&TenantId>) -> PortResult<Vec<Version>> {
        let owner = owner.cloned();
        self.read("plugin_versions", move |connection| versions(connection, owner.as_ref())).await
    }

    async fn component(&self, digest: &PluginDigest) -> PortResult<Option<Bytes>> {
        let digest = *digest;
        self.read("plugin_component", move |connection| component(connection, &digest)).await
    }

    async fn remove_version(&self, owner: Option<&TenantId>, digest: &PluginDigest) -> PortResult<Removal> {
        let (owner, digest) = (owner.cloned(), *digest);
        let remove = move |connection: &mut Connection| remove_version(connection, owner.as_ref(), &digest);
        self.writer.call("remove_plugin_version", remove).await
    }

    async fn activations(&self, after: u64) -> PortResult<Vec<Activation>> {
        self.read("plugin_activations", move |connection| activations(connection, after)).await
    }

    async fn activation(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Option<Activation>> {
        let (tenant, slot) = (tenant.cloned(), slot.clone());
        self.read("plugin_activation", move |connection| activation(connection, tenant.as_ref(), &slot)).await
    }

    async fn change(&self, activation: &Activation, event: &Event) -> PortResult<u64> {
        let (activation, event) = (activation.clone(), event.clone());
        let change = move |connection: &mut Connection| change(connection, activation, &event);
        self.writer.call("change_plugin", change).await
    }

    async fn history(
        &self,
        tenant: Option<&TenantId>,
        slot: Option<&Slot>,
        limit: usize,
    ) -> PortResult<Vec<Event>> {
        let (tenant, slot) = (tenant.cloned(), slot.cloned());
        let history =
            move |connection: &Connection| history(connection, tenant.as_ref(), slot.as_ref(), limit);
        self.read("plugin_history", history).await
    }

    async fn report(&self, process: &str, at: Timestamp, statistics: &[Statistic]) -> PortResult<()> {
        let (process, statistics) = (process.to_owned(), statistics.to_vec());
        let report = move |connection: &mut Connection| report(connection, &process, at, &statistics);
        self.writer.call("report_plugins", report).await
    }

    async fn condense(&self, before: Timestamp) -> PortResult<()> {
        let condense = move |connection: &mut Connection| condense(connection, before);
        self.writer.call("condense_plugins", condense).await
    }

    async fn statistics(&self, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Vec<Statistic>> {
        let (tenant, slot) = (tenant.cloned(), slot.clone());
        self.read("plugin_statistics", move |connection| statistics(connection, tenant.as_ref(), &slot)).await
    }
}

/// A shop's name in a column; no shop has the empty one.
fn column(tenant: Option<&TenantId>) -> &str {
    tenant.map_or("", TenantId::as_str)
}

fn begin(connection: &mut Connection) -> PortResult<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)
}

fn add_version(connection: &mut Connection, version: &Version, component: &[u8]) -> PortResult<bool> {
    let transaction = begin(connection)?;
    let digest = version.digest.as_bytes().as_slice();
    let sql = "INSERT OR IGNORE INTO plugin_components (digest, component) VALUES (?1, ?2)";
    transaction.execute(sql, (digest, component)).map_err(sqlite)?;
    let sql = "INSERT OR IGNORE INTO plugin_versions (owner, digest, record) VALUES (?1, ?2, ?3)";
    let row = (column(version.owner.as_ref()), digest, text(version)?);
    let added = transaction.execute(sql, row).map_err(sqlite)? == 1;
    transaction.commit().map_err(sqlite)?;
    Ok(added)
}

fn sign_version(
    connection: &mut Connection,
    owner: Option<&TenantId>,
    digest: &PluginDigest,
    signature: String,
    signer: Option<String>,
) -> PortResult<bool> {
    let transaction = begin(connection)?;
    let Some(version) = version(&transaction, owner, digest)? else { return Ok(false) };
    let version = Version { signature: Some(signature), signer, ..version };
    let sql = "UPDATE plugin_versions SET record = ?3 WHERE owner = ?1 AND digest = ?2";
    let row = (column(owner), digest.as_bytes().as_slice(), text(&version)?);
    transaction.execute(sql, row).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    Ok(true)
}

fn version(
    connection: &Connection,
    owner: Option<&TenantId>,
    digest: &PluginDigest,
) -> PortResult<Option<Version>> {
    let sql = "SELECT record FROM plugin_versions WHERE owner = ?1 AND digest = ?2";
    Ok(records(connection, sql, (column(owner), digest.as_bytes().as_slice()))?.pop())
}

fn versions(connection: &Connection, owner: Option<&TenantId>) -> PortResult<Vec<Version>> {
    let sql = "SELECT record FROM plugin_versions WHERE owner = ?1";
    let mut versions: Vec<Version> = records(connection, sql, [column(owner)])?;
    versions.sort_by_key(|version| (version.uploaded_at, version.digest));
    Ok(versions)
}

fn component(connection: &Connection, digest: &PluginDigest) -> PortResult<Option<Bytes>> {
    let sql = "SELECT component FROM plugin_components WHERE digest = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(sqlite)?;
    let found = statement.query_row([digest.as_bytes().as_slice()], |row| row.get::<_, Vec<u8>>(0));
    Ok(found.optional().map_err(sqlite)?.map(Bytes::from))
}

fn remove_version(
    connection: &mut Connection,
    owner: Option<&TenantId>,
    digest: &PluginDigest,
) -> PortResult<Removal> {
    let transaction = begin(connection)?;
    if version(&transaction, owner, digest)?.is_none() {
        return Ok(Removal::Missing);
    }
    let holders = holders(&transaction, owner, digest)?;
    if !holders.is_empty() {
        return Ok(Removal::InUse(holders));
    }
    let digest = digest.as_bytes().as_slice();
    let sql = "DELETE FROM plugin_versions WHERE owner = ?1 AND digest = ?2";
    transaction.execute(sql, (column(owner), digest)).map_err(sqlite)?;
    let sql = "DELETE FROM plugin_components WHERE digest = ?1
               AND NOT EXISTS (SELECT 1 FROM plugin_versions WHERE digest = ?1)";
    transaction.execute(sql, [digest]).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    Ok(Removal::Removed)
}

/// The slots that hold a version.
fn holders(
    transaction: &Transaction<'_>,
    owner: Option<&TenantId>,
    digest: &PluginDigest,
) -> PortResult<Vec<(Option<TenantId>, Slot)>> {
    // Spares reading most records; what the text means is seen below.
    let sql = "SELECT record FROM plugin_activations WHERE instr(record, ?1) > 0";
    let rows: Vec<Activation> = records(transaction, sql, [digest.to_string()])?;
    let mut holders = Vec::new();
    for Activation { tenant, slot, .. } in rows.into_iter().filter(|row| row.may_hold(owner, digest)) {
        if tenant.as_ref() == owner || version(transaction, tenant.as_ref(), digest)?.is_none() {
            holders.push((tenant, slot));
        }
    }
    Ok(holders)
}

fn activations(connection: &Connection, after: u64) -> PortResult<Vec<Activation>> {
    let sql = "SELECT record FROM plugin_activations WHERE revision > ?1 ORDER BY revision";
    records(connection, sql, [i64::try_from(after).unwrap_or(i64::MAX)])
}

fn activation(
    connection: &Connection,
    tenant: Option<&TenantId>,
    slot: &Slot,
) -> PortResult<Option<Activation>> {
    let sql = "SELECT record FROM plugin_activations WHERE tenant = ?1 AND slot = ?2";
    Ok(records(connection, sql, (column(tenant), slot.to_string()))?.pop())
}

fn change(connection: &mut Connection, mut activation: Activation, event: &Event) -> PortResult<u64> {
    let transaction = begin(connection)?;
    check(&transaction, &activation)?;
    let sql = "UPDATE plugin_revision SET revision = revision + 1 RETURNING revision";
    let revision: i64 = transaction.query_row(sql, [], |row| row.get(0)).map_err(sqlite)?;
    activation.revision = revision.cast_unsigned();
    let sql =
        "INSERT OR REPLACE INTO plugin_activations (tenant, slot, revision, record) VALUES (?1, ?2, ?3, ?4)";
    let (tenant, slot) = (column(activation.tenant.as_ref()), activation.slot.to_string());
    transaction.execute(sql, params![tenant, slot, revision, text(&activation)?]).map_err(sqlite)?;
    let sql = "INSERT INTO plugin_events (tenant, revision, slot, record) VALUES (?1, ?2, ?3, ?4)";
    let (tenant, slot) = (column(event.tenant.as_ref()), event.slot.to_string());
    transaction.execute(sql, params![tenant, revision, slot, text(event)?]).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    Ok(activation.revision)
}

/// `Conflict` unless the change was made from what is stored, and everything it brings is kept.
fn check(transaction: &Transaction<'_>, activation: &Activation) -> PortResult<()> {
    let Activation { tenant, slot, revision, .. } = activation;
    let stored = self::activation(transaction, tenant.as_ref(), slot)?;
    if stored.as_ref().map_or(0, |stored| stored.revision) != *revision {
        return Err(failed(PortErrorKind::Conflict, format!("{slot} was changed by somebody else")));
    }
    for digest in activation.newly_held(stored.as_ref()) {
        let own = version(transaction, tenant.as_ref(), &digest)?;
        if own.is_none() && version(transaction, None, &digest)?.is_none() {
            return Err(failed(PortErrorKind::Conflict, format!("version {digest} is not kept")));
        }
    }
    Ok(())
}

fn history(
    connection: &Connection,
    tenant: Option<&TenantId>,
    slot: Option<&Slot>,
    limit: usize,
) -> PortResult<Vec<Event>> {
    let sql = "SELECT record FROM plugin_events WHERE tenant = ?1 AND (?2 IS NULL OR slot = ?2)
               ORDER BY revision DESC LIMIT ?3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    records(connection, sql, (column(tenant), slot.map(Slot::to_string), limit))
}

/// The name of no process, under which stands what was condensed.
const NOBODY: &str = "";

fn report(
    connection: &mut Connection,
    process: &str,
    at: Timestamp,
    statistics: &[Statistic],
) -> PortResult<()> {
    let transaction = begin(connection)?;
    for row in statistics {
        put(&transaction, process, Some(at), row)?;
    }
    transaction.commit().map_err(sqlite)
}

fn put(
    transaction: &Transaction<'_>,
    process: &str,
    at: Option<Timestamp>,
    row: &Statistic,
) -> PortResult<()> {
    let sql =
        "INSERT OR REPLACE INTO plugin_statistics (slot, tenant, digest, part, process, reported_at, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![
        row.slot.to_string(),
        row.tenant.as_str(),
        row.digest.as_bytes().as_slice(),
        row.part.as_str(),
        process,
        at.map(Timestamp::as_millisecond),
        text(row)?
    ];
    transaction.prepare_cached(sql).and_then(|mut replace| replace.execute(values)).map_err(sqlite)?;
    Ok(())
}

fn condense(connection: &mut Connection, before: Timestamp) -> PortResult<()> {
    let transaction = begin(connection)?;
    let sql = "DELETE FROM plugin_statistics WHERE reported_at < ?1 RETURNING record";
    let old: Vec<Statistic> = records(&transaction, sql, [before.as_millisecond()])?;
    for mut sum in old {
        let sql = "SELECT record FROM plugin_statistics
                   WHERE slot = ?1 AND tenant = ?2 AND digest = ?3 AND part = ?4 AND process = ?5";
        let digest = sum.digest.as_bytes().as_slice();
        let key = params![sum.slot.to_string(), sum.tenant.as_str(), digest, sum.part.as_str(), NOBODY];
        if let Some(condensed) = records::<Statistic>(&transaction, sql, key)?.pop() {
            sum.tally.add(&condensed.tally);
        }
        put(&transaction, NOBODY, None, &sum)?;
    }
    let sql = "DELETE FROM plugin_statistics WHERE reported_at IS NULL
               AND digest NOT IN (SELECT digest FROM plugin_components)";
    transaction.execute(sql, []).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)
}

fn statistics(connection: &Connection, tenant: Option<&TenantId>, slot: &Slot) -> PortResult<Vec<Statistic>> {
    let slot = slot.to_string();
    let rows: Vec<Statistic> = match tenant {
        Some(tenant) => {
            let sql = "SELECT record FROM plugin_statistics WHERE slot = ?1 AND tenant = ?2";
            records(connection, sql, (slot, tenant.as_str()))?
        }
        None => records(connection, "SELECT record FROM plugin_statistics WHERE slot = ?1", [slot])?,
    };
    Ok(Statistic::add_up(rows))
}
