//! One call of one choice: entered, asked, checked, told of, and recorded when the job is.

use std::sync::Arc;

use taja_catalog::{
    TenantId,
    plugins::Part as Role,
    policy::{Decision, Leg, Part, PluginRef, PolicyContext, PolicyError, PolicyFault, Ranking, Submission},
    recording::{Answer, CallTape, Input},
};
use tracing::Instrument;

use crate::{
    answer::{decision, legs, ranking},
    book::Record,
    house::House,
    metrics::CallStats,
    plugin::{Binding, Entry},
    refusal::Refusal,
    runner::{Caller, Runner, Visit},
    state::{Ports, Session},
};

/// An answer, and what it took to get it; the second is none when the call found no place to run in.
pub type Called<T> = (Result<T, PolicyError>, Option<CallStats>);

/// What one attempt is made with.
pub(crate) struct Attempt<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) tenant: &'a TenantId,
    pub(crate) binding: &'a Binding,
    pub(crate) role: Role,
    /// None for a call that counts nowhere.
    pub(crate) record: Option<Arc<Record>>,
    /// What answers host calls, when it is not the host.
    pub(crate) ports: Option<Ports>,
}

impl<'a> Attempt<'a> {
    /// An attempt that serves somebody, or runs beside one that does.
    pub(crate) fn counted(house: &'a House, tenant: &'a TenantId, binding: &'a Binding, role: Role) -> Self {
        let record = Some(house.book.record(&binding.plugin.identity, tenant, role, house.now()));
        Self { runner: &house.runner, tenant, binding, role, record, ports: None }
    }

    /// A ranking runs on nobody's behalf: it imports nothing that would ask.
    pub(crate) async fn rank(&self, context: &PolicyContext, asked: &mut ranking::Asked) -> Called<Ranking> {
        let Entry::Rank(ranker) = &self.binding.plugin.entry else { return self.misplaced() };
        let call = async {
            let tape = self.tape(context, || asked.recorded());
            let visit = match self.enter(context, None, self.ports.clone()).await {
                Ok(visit) => visit,
                Err(busy) => return (Err(busy), None),
            };
            let Binding { plugin, settings, habit, .. } = self.binding;
            let candidates = asked.of(settings, &plugin.identity.manifest.columns);
            let (visit, answer) = self.runner.rank(habit, visit, ranker.clone(), candidates, asked.day).await;
            let answer = answer.and_then(|ranked| {
                ranking::ranking(ranked, &asked.guest).map_err(PolicyFault::InvalidAnswer)
            });
            finish(tape, &answer, Answer::Ranking);
            self.told(visit, answer)
        };
        call.instrument(self.span()).await
    }

    pub(crate) async fn ingest(&self, context: &PolicyContext, submission: &Submission) -> Called<Decision> {
        let Entry::Ingest(pre) = &self.binding.plugin.entry else { return self.misplaced() };
        let call = async {
            let tape = self.tape(context, || Some(Input::Ingest(submission.clone())));
            let (session, ports) = self.host(context, tape.as_ref());
            let mut visit = match self.enter(context, Some(session), ports).await {
                Ok(visit) => visit,
                Err(busy) => return (Err(busy), None),
            };
            let places = submission.uploads.iter().map(|(index, _)| *index).collect();
            let settings = self.binding.settings.clone();
            let handed = decision::submission(visit.store.data_mut(), submission, settings);
            let (visit, answer) = match handed {
                Ok(submission) => {
                    self.runner.ingest(&self.binding.habit, visit, pre.clone(), submission).await
                }
                Err(refusal) => (visit, Err(unhanded(refusal))),
            };
            let answer = answer
                .and_then(|answer| decision::decision(answer, &places).map_err(PolicyFault::InvalidAnswer));
            finish(tape, &answer, Answer::Decision);
            self.told(visit, answer)
        };
        call.instrument(self.span()).await
    }

    pub(crate) async fn search(
        &self,
        context: &PolicyContext,
        parts: &[Part],
        limit: u32,
    ) -> Called<Vec<Leg>> {
        let Entry::Search(pre) = &self.binding.plugin.entry else { return self.misplaced() };
        let call = async {
            let tape = self.tape(context, || Some(Input::Search { parts: parts.to_vec(), limit }));
            let (session, ports) = self.host(context, tape.as_ref());
            let mut visit = match self.enter(context, Some(session), ports).await {
                Ok(visit) => visit,
                Err(busy) => return (Err(busy), None),
            };
            let settings = self.binding.settings.clone();
            let handed = legs::query(visit.store.data_mut(), parts, limit, settings);
            let (mut visit, answer) = match handed {
                Ok(query) => self.runner.search(&self.binding.habit, visit, pre.clone(), query).await,
                Err(refusal) => (visit, Err(unhanded(refusal))),
            };
            let answer = answer.and_then(|legs| {
                legs::legs(visit.store.data_mut(), legs, parts).map_err(PolicyFault::InvalidAnswer)
            });
            finish(tape, &answer, Answer::Legs);
            self.told(visit, answer)
        };
        call.instrument(self.span()).await
    }

    async fn enter(
        &self,
        context: &PolicyContext,
        session: Option<Session>,
        ports: Option<Ports>,
    ) -> Result<Visit, PolicyError> {
        context.note_use(&self.binding.plugin.identity.reference, &self.binding.choice.settings);
        let caller = Caller { tenant: Some(self.tenant), record: self.record.clone(), session, ports };
        let visit = self.runner.enter(&self.binding.plugin, caller).await;
        visit.map_err(|fault| self.error(fault))
    }

    /// Begins to record the call, when its job is recorded.
    fn tape(&self, context: &PolicyContext, input: impl FnOnce() -> Option<Input>) -> Option<CallTape> {
        let (tape, input) = (context.tape.as_ref()?, input()?);
        let plugin = PluginRef::clone(&self.binding.plugin.identity.reference);
        Some(tape.for_call(plugin, self.binding.choice.settings.clone(), context.filter.clone(), input))
    }

    /// Who answers host calls, with notes taken when the call is recorded.
    fn host(&self, context: &PolicyContext, tape: Option<&CallTape>) -> (Session, Option<Ports>) {
        let mut session = Session::from(context);
        let Some(tape) = tape else { return (session, self.ports.clone()) };
        session.catalogue = tape.catalogue(session.catalogue);
        session.embedder = tape.embedder(session.embedder);
        let ports = self.ports.as_ref().unwrap_or(self.runner.ports());
        let video = tape.video(Arc::clone(&ports.video));
        (session, Some(Ports { video, timeout: ports.timeout }))
    }

    fn error(&self, fault: PolicyFault) -> PolicyError {
        PolicyError { plugin: self.binding.plugin.name().to_owned(), fault }
    }

    fn told<T>(&self, visit: Visit, answer: Result<T, PolicyFault>) -> Called<T> {
        let stats = visit.tell(&answer);
        (answer.map_err(|fault| self.error(fault)), Some(stats))
    }

    fn span(&self) -> tracing::Span {
        let identity = &self.binding.plugin.identity;
        tracing::debug_span!("plugin", plugin.name = %identity.manifest.name, plugin.digest = %identity.digest,
            kind = %identity.manifest.kind, tenant = %self.tenant, part = self.role.as_str())
    }

    /// A plugin of one kind in the seat of another: the store is damaged.
    fn misplaced<T>(&self) -> Called<T> {
        let kind = self.binding.plugin.kind();
        (
            Err(self.error(PolicyFault::Host(format!("is of kind {kind}, which this slot does not take")))),
            None,
        )
    }
}

fn finish<T: Clone>(tape: Option<CallTape>, answer: &Result<T, PolicyFault>, as_answer: fn(T) -> Answer) {
    let Some(tape) = tape else { return };
    tape.finish(match answer {
        Ok(answer) => as_answer(answer.clone()),
        Err(fault) => Answer::Fault(fault.to_string()),
    });
}

/// The request's own media found no room behind the plugin's handles.
fn unhanded(refusal: Refusal) -> PolicyFault {
    PolicyFault::Host(format!("the request cannot be handed over: {:#}", refusal.into_error()))
}
