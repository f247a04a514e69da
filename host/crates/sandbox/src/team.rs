//! The policies that serve one job, from its beginning to its end: asked, asked again when they fail, and stood in for.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::future::try_join_all;
use sha2::{Digest, Sha256};
use taja_catalog::{
    TenantId,
    plugins::{Part as Role, Slot},
    policy::{
        Candidates, Columns, Decision, Degraded, Leg, Lineup, Part, PluginRef, PolicyContext, PolicyError,
        PolicyFault, Ranking, Submission, Substitute,
    },
};

use crate::{
    answer::{legs, ranking},
    attempt::{Attempt, Called},
    beside::Due,
    house::House,
    limits::Kind,
    metrics::CallStats,
    plain,
    plugin::Binding,
    seats::{Shift, Station},
    state::Session,
    watch::{counts, is_failure},
};

/// The policies that serve one job.
pub struct Team {
    house: Arc<House>,
    tenant: TenantId,
    stations: BTreeMap<Slot, Station>,
    /// Who takes which modality.
    modalities: BTreeMap<String, Slot>,
    fingerprint: String,
    /// Whether it serves somebody, rather than try something out.
    serves: bool,
}

impl Team {
    pub(crate) fn new(house: Arc<House>, tenant: TenantId, shift: Shift) -> Self {
        let Shift { stations, modalities } = shift;
        let mut hash = Sha256::new();
        for (slot, station) in &stations {
            hash.update(format!("{slot}={}\n", station.binding.id));
        }
        for (modality, slot) in &modalities {
            hash.update(format!("{modality}:{slot}\n"));
        }
        let fingerprint = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { house, tenant, stations, modalities, fingerprint, serves: true }
    }

    /// The same, as one whose calls count nowhere.
    pub(crate) fn uncounted(self) -> Self {
        Self { serves: false, ..self }
    }

    fn station(&self, slot: &Slot, kind: Kind) -> Result<&Station, PolicyError> {
        self.stations.get(slot).ok_or_else(|| {
            let fault = PolicyFault::Host(format!("no plugin of kind {kind} is active"));
            PolicyError { plugin: kind.name().into(), fault }
        })
    }

    fn attempt<'a>(&'a self, binding: &'a Binding, role: Role) -> Attempt<'a> {
        if self.serves {
            return Attempt::counted(&self.house, &self.tenant, binding, role);
        }
        Attempt { runner: &self.house.runner, tenant: &self.tenant, binding, role, record: None, ports: None }
    }

    /// Asks what is to rank once, without anybody standing in; beside the answer what the call used.
    pub async fn rank_measured(&self, context: &PolicyContext, candidates: Candidates) -> Called<Ranking> {
        let station = match self.station(&Slot::Rank, Kind::Rank) {
            Ok(station) => station,
            Err(error) => return (Err(error), None),
        };
        let mut candidates = ranking::Asked::new(candidates, context.tape.is_some());
        self.attempt(&station.binding, station.part).rank(context, &mut candidates).await
    }

    /// Asks what is to decide once, without anybody standing in; beside the answer what the call used.
    pub async fn ingest_measured(&self, context: &PolicyContext, submission: Submission) -> Called<Decision> {
        match self.station(&Slot::Ingest, Kind::Ingest) {
            Ok(station) => self.attempt(&station.binding, station.part).ingest(context, &submission).await,
            Err(error) => (Err(error), None),
        }
    }

    /// Asks what is to search once, all at the same time, without anybody standing in; with the legs what each call used.
    pub async fn search_measured(
        &self,
        context: &PolicyContext,
        parts: Vec<Part>,
        limit: u32,
    ) -> Result<(Vec<Leg>, Vec<CallStats>), PolicyError> {
        let calls = self.by_station(parts)?.into_iter().map(|(station, parts)| async move {
            let attempt = self.attempt(&station.binding, station.part);
            let (legs, stats) = attempt.search(context, &parts, limit).await;
            legs.map(|legs| ((attempt.binding.plugin.name().to_owned(), legs), stats))
        });
        let (answers, stats): (Vec<_>, Vec<_>) = try_join_all(calls).await?.into_iter().unzip();
        Ok((legs::joined(answers), stats.into_iter().flatten().collect()))
    }

    /// The parts, grouped by the station that accepts their modality, in the order of the first part of each.
    fn by_station(&self, parts: Vec<Part>) -> Result<Vec<(&Station, Vec<Part>)>, PolicyError> {
        let mut groups: Vec<(&Station, Vec<Part>)> = Vec::new();
        for part in parts {
            let station = self.modalities.get(&part.modality).and_then(|slot| self.stations.get(slot));
            let Some(station) = station else {
                let fault =
                    PolicyFault::Host(format!("no plugin of kind search accepts {:?}", part.modality));
                return Err(PolicyError { plugin: Kind::Search.name().into(), fault });
            };
            match groups.iter_mut().find(|(known, _)| std::ptr::eq(*known, station)) {
                Some((_, parts)) => parts.push(part),
                None => groups.push((station, vec![part])),
            }
        }
        Ok(groups)
    }

    /// Notes how a call of a choice went, and withdraws it when that was too much.
    fn judge<T>(&self, station: &Station, binding: &Arc<Binding>, role: Role, called: &Called<T>) {
        if !self.serves {
            return;
        }
        let took = called.1.as_ref().map(|stats| stats.total);
        took.inspect(|took| binding.pace.note(*took));
        if binding.id != station.binding.id {
            return;
        }
        let Some((seat, watch, other)) = station.watch(self.house.now()) else { return };
        let fault = called.0.as_ref().err().map(|error| &error.fault);
        let fault = fault.filter(|fault| counts(&seat.slot, fault));
        if let Some(reason) = watch.note(fault, took, other) {
            self.house.withdraw(seat.place(), &binding.id, role, reason);
        }
    }

    /// The comparison that an answer is due for. That of somebody who stands in is compared with nothing.
    fn due(
        &self,
        station: &Station,
        context: &PolicyContext,
        parts: &[Part],
        substitute: Option<Substitute>,
    ) -> Option<Due> {
        match substitute {
            None if self.serves => Due::now(&self.house, &self.tenant, station, context, parts),
            _ => None,
        }
    }

    async fn search_at(
        &self,
        station: &Station,
        context: &PolicyContext,
        parts: Vec<Part>,
        limit: u32,
    ) -> Result<(String, Vec<Leg>), PolicyError> {
        let mut fall = Fall::default();
        for (binding, role, substitute) in station.rungs(&parts) {
            let called = self.attempt(binding, role).search(context, &parts, limit).await;
            self.judge(station, binding, role, &called);
            match called.0 {
                Ok(legs) => {
                    fall.landed(context, substitute);
                    if let Some(due) = self.due(station, context, &parts, substitute) {
                        due.search(parts, limit, &legs);
                    }
                    return Ok((binding.plugin.name().to_owned(), legs));
                }
                Err(error) if is_failure(&error.fault) => fall.note(binding, error),
                // A policy's refusal is its answer, and what the host cannot do now it cannot do for another either.
                Err(error) => return Err(fall.first(error)),
            }
        }
        let plain = plain::legs(&Session::from(context), self.house.runner.ports(), &parts, limit).await;
        match plain {
            Some(legs) => {
                fall.landed(context, Some(Substitute::Host));
                Ok((station.binding.plugin.name().to_owned(), legs))
            }
            None => Err(fall.last()),
        }
    }
}

#[async_trait]
impl Lineup for Team {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn accepts(&self, modality: &str) -> bool {
        self.modalities.contains_key(modality)
    }

    async fn search(
        &self,
        context: &PolicyContext,
        parts: Vec<Part>,
        limit: u32,
    ) -> Result<Vec<Leg>, PolicyError> {
        let calls = self.by_station(parts)?.into_iter();
        let calls = calls.map(|(station, parts)| self.search_at(station, context, parts, limit));
        Ok(legs::joined(try_join_all(calls).await?))
    }

    /// Nobody stands in for the policies of ingestion but earlier ones of them: what is stored stays, so the job rather
    /// waits until there is one that works.
    async fn ingest(&self, context: &PolicyContext, submission: Submission) -> Result<Decision, PolicyError> {
        let station = self.station(&Slot::Ingest, Kind::Ingest)?;
        let mut fall = Fall::default();
        for (binding, role, substitute) in station.rungs(&[]) {
            let called = self.attempt(binding, role).ingest(context, &submission).await;
            self.judge(station, binding, role, &called);
            match called.0 {
                Ok(decision) => {
                    fall.landed(context, substitute);
                    if let Some(due) = self.due(station, context, &[], substitute) {
                        due.ingest(submission, decision.clone());
                    }
                    return Ok(decision);
                }
                Err(error) if is_failure(&error.fault) => fall.note(binding, error),
                Err(error) => return Err(fall.first(error)),
            }
        }
        Err(fall.last())
    }

    /// What any of the policies asks for that may be asked in this job.
    fn ranking_columns(&self) -> Columns {
        let mut columns = Columns::default();
        let Some(station) = self.stations.get(&Slot::Rank) else { return columns };
        for binding in station.bindings() {
            let asked = &binding.plugin.identity.manifest.columns;
            for (known, asked) in [(&mut columns.numbers, &asked.numbers), (&mut columns.texts, &asked.texts)]
            {
                known.extend(asked.iter().filter(|name| !known.contains(name)).cloned().collect::<Vec<_>>());
            }
        }
        columns
    }

    async fn rank(&self, context: &PolicyContext, candidates: Candidates) -> Result<Ranking, PolicyError> {
        let station = self.station(&Slot::Rank, Kind::Rank)?;
        let mut candidates = ranking::Asked::new(candidates, context.tape.is_some());
        let mut fall = Fall::default();
        for (binding, role, substitute) in station.rungs(&[]) {
            if fall.is_pointless(binding) {
                continue;
            }
            let called = self.attempt(binding, role).rank(context, &mut candidates).await;
            self.judge(station, binding, role, &called);
            match called.0 {
                Ok(ranking) => {
                    fall.landed(context, substitute);
                    if let Some(due) = self.due(station, context, &[], substitute) {
                        due.rank(candidates, &ranking);
                    }
                    return Ok(ranking);
                }
                Err(error) if counts(&Slot::Rank, &error.fault) => fall.note(binding, error),
                Err(error) => return Err(fall.first(error)),
            }
        }
        fall.landed(context, Some(Substitute::Host));
        Ok(plain::ranking(&candidates.guest))
    }
}

/// How policies failed, one after the other.
#[derive(Default)]
struct Fall {
    first: Option<(PluginRef, PolicyError)>,
    /// The choice that answered with an error of its own: it would do so again.
    refused: Option<String>,
}

impl Fall {
    fn note(&mut self, binding: &Binding, error: PolicyError) {
        if matches!(error.fault, PolicyFault::Guest(_)) {
            self.refused = Some(binding.id.clone());
        }
        self.first.get_or_insert_with(|| (binding.plugin.identity.reference.as_ref().clone(), error));
    }

    fn is_pointless(&self, binding: &Binding) -> bool {
        self.refused.as_ref() == Some(&binding.id)
    }

    /// Somebody answered: tells the job who stood in, and for whom.
    fn landed(self, context: &PolicyContext, substitute: Option<Substitute>) {
        let (Some((plugin, error)), Some(substitute)) = (self.first, substitute) else { return };
        let substitute_name = match substitute {
            Substitute::Live => "live",
            Substitute::Previous => "previous",
            Substitute::Everybody => "everybody",
            Substitute::Host => "host",
        };
        metrics::counter!("taja_plugin_degraded_total", "plugin" => plugin.name.clone(),
            "substitute" => substitute_name)
        .increment(1);
        context.note_degraded(Degraded { plugin, substitute, reason: error.fault.to_string() });
    }

    /// The error to tell: how the first one failed, if there was one before this.
    fn first(self, error: PolicyError) -> PolicyError {
        self.first.map_or(error, |(_, first)| first)
    }

    fn last(self) -> PolicyError {
        self.first(PolicyError { plugin: "none".into(), fault: PolicyFault::Host("nobody was asked".into()) })
    }
}
