//! Guests for the tests, and sandboxes that hold them.

use std::{ops::Deref, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};
use taja_catalog::{
    PluginDigest, TenantId,
    fakes::InMemoryPlugins,
    plugins::{Action, Activation, Choice, Event, PluginStore, Slot, Version},
    policy::{Candidates, Decision, Leg, Part, Pins, PolicyContext, PolicyError, Ranking, Submission},
};
use taja_sandbox::{
    AddError, Called, Capability, Order, OrderError, PluginState, Refused, Sandbox, SandboxConfig, Step,
    Team, Upload, Wanted, manifest,
};
use tempfile::TempDir;

use crate::{component::fixture, fakes::World};

/// The fixture with a manifest of these lines. Unless they say otherwise it asks for everything that there is.
pub(crate) fn plugin(kind: &str, name: &str, lines: &str) -> Vec<u8> {
    let all = "capabilities = [\"media\", \"embed\", \"catalogue\", \"job\"]\n";
    let asks = if kind == "rank" || lines.contains("capabilities") { "" } else { all };
    manifest::embed(&fixture(kind), &manifest_text(kind, name, &format!("{asks}{lines}")))
        .expect("the manifest is valid")
}

pub(crate) fn manifest_text(kind: &str, name: &str, lines: &str) -> String {
    format!("name = \"{name}\"\nversion = \"1.2.3\"\nkind = \"{kind}\"\n{lines}\n")
}

/// A component in text form with the manifest of a ranking plugin.
pub(crate) fn in_text(component: &str, lines: &str) -> Vec<u8> {
    let bytes = wat::parse_str(component).expect("the text is a component");
    manifest::embed(&bytes, &manifest_text("rank", "rank", lines)).expect("the manifest is valid")
}

/// A component that comes without a signature, for everybody.
pub(crate) fn upload(component: &[u8]) -> Upload {
    Upload {
        owner: None,
        by: "test".into(),
        component: component.to_vec().into(),
        signature: None,
        granted: Capability::ALL.into(),
    }
}

/// Why a component does not come in.
pub(crate) async fn refused(sandbox: &Opened, component: &[u8]) -> Refused {
    match sandbox.add(upload(component)).await {
        Err(AddError::Refused(refused)) => refused,
        Err(AddError::Store(error)) => panic!("the store failed: {error}"),
        Ok(added) => panic!("{} came in", added.version.name),
    }
}

/// A plugin folder, a store, and the sandboxes over them.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) config: SandboxConfig,
    pub(crate) store: Arc<InMemoryPlugins>,
}

/// A sandbox, asked without anybody standing in for what fails.
pub(crate) struct Opened(Sandbox);

impl Deref for Opened {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

impl House {
    /// Without any plugin.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut config = SandboxConfig::new(folder.path());
        config.concurrency = 4;
        config.rank = "rank".into();
        config.ingest = "ingest".into();
        Self { folder, config, store: Arc::default() }
    }

    /// With one more file.
    pub(crate) fn with(self, file: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.folder.path().join(file), bytes).expect("the folder can be written");
        self
    }

    /// With what a plugin is told to do.
    pub(crate) fn told(mut self, plugin: &str, task: &str) -> Self {
        self.config.settings.insert(plugin.into(), json!({ "do": task }));
        self
    }

    /// With a version in the store that is active for everybody, granted these capabilities and no others.
    pub(crate) async fn keep_active(&self, component: &[u8], granted: &[&str], task: &str) {
        self.keep_active_over(component, granted, task, 0).await;
    }

    /// In the place of what is active in a revision.
    pub(crate) async fn keep_active_over(
        &self,
        component: &[u8],
        granted: &[&str],
        task: &str,
        revision: u64,
    ) {
        let read = manifest::read(component).expect("the manifest is valid");
        let digest = PluginDigest::of(component);
        let version = Version {
            owner: None,
            digest,
            name: read.name.clone(),
            version: read.version.to_string(),
            slot: read.slot(),
            size: component.len() as u64,
            granted: granted.iter().map(|word| (*word).to_owned()).collect(),
            manifest: Value::Null,
            signature: None,
            signer: None,
            uploaded_at: Timestamp::now(),
            uploaded_by: "test".into(),
        };
        self.store.add_version(&version, component.to_vec().into()).await.expect("the store answers");
        let settings = json!({ "do": task });
        let live = Choice { digest, name: read.name.clone(), version: version.version.clone(), settings };
        let row = Activation {
            tenant: None,
            slot: read.slot(),
            live: Some(live),
            previous: Vec::new(),
            canary: None,
            shadow: None,
            gate: None,
            changed_at: Timestamp::now(),
            changed_by: "test".into(),
            revision,
        };
        let event = Event {
            tenant: None,
            slot: read.slot(),
            action: Action::Activated,
            choice: None,
            reason: String::new(),
            by: "test".into(),
            at: Timestamp::now(),
        };
        self.store.change(&row, &event).await.expect("the store answers");
    }

    /// One process of a service: others may have the same store.
    pub(crate) async fn open(&self, world: &World) -> Opened {
        self.open_over(&self.store, world).await
    }

    /// One process that sees the store in its own way.
    pub(crate) async fn open_over<S: PluginStore + 'static>(&self, store: &Arc<S>, world: &World) -> Opened {
        let sandbox = Sandbox::open(self.config.clone(), Arc::clone(store) as _, world.video.clone()).await;
        Opened(sandbox.expect("the engine can be built"))
    }

    /// Opens and insists that every plugin is ready.
    pub(crate) async fn ready(&self, world: &World) -> Opened {
        let sandbox = self.open(world).await;
        for status in sandbox.report() {
            assert_eq!(status.state, PluginState::Ready, "{}", status.file);
        }
        sandbox
    }
}

impl Opened {
    pub(crate) async fn team(&self, tenant: &TenantId) -> Team {
        Sandbox::team(self, tenant, &Pins::default()).await.expect("the store answers")
    }

    pub(crate) async fn rank_measured(
        &self,
        context: &PolicyContext,
        candidates: Candidates,
    ) -> Called<Ranking> {
        self.team(&context.tenant).await.rank_measured(context, candidates).await
    }

    pub(crate) async fn rank(
        &self,
        context: &PolicyContext,
        candidates: Candidates,
    ) -> Result<Ranking, PolicyError> {
        self.rank_measured(context, candidates).await.0
    }

    pub(crate) async fn search(
        &self,
        context: &PolicyContext,
        parts: Vec<Part>,
        limit: u32,
    ) -> Result<Vec<Leg>, PolicyError> {
        Ok(self.team(&context.tenant).await.search_measured(context, parts, limit).await?.0)
    }

    pub(crate) async fn ingest(
        &self,
        context: &PolicyContext,
        submission: Submission,
    ) -> Result<Decision, PolicyError> {
        self.team(&context.tenant).await.ingest_measured(context, submission).await.0
    }

    /// Uploads a component for everybody.
    pub(crate) async fn upload(&self, component: &[u8]) -> PluginDigest {
        self.add(upload(component)).await.expect("the component is good").version.digest
    }

    /// Takes a step for everybody.
    pub(crate) async fn step(&self, slot: Slot, step: Step) -> Result<Activation, OrderError> {
        let order =
            Order { tenant: None, slot, step, evidence: None, reason: "a test".into(), by: "test".into() };
        self.order(&order).await
    }
}

/// A version that is told to do this.
pub(crate) fn wanted(digest: PluginDigest, task: &str) -> Wanted {
    Wanted { digest, settings: Some(Value::from_iter([("do", task)])) }
}
