//! Guests for the tests, and sandboxes that hold them.
use serde_json::json;
use taja_sandbox::{Sandbox, SandboxConfig, manifest};
use tempfile::TempDir;

use crate::{component::fixture, fakes::World};

/// The fixture with a manifest of these lines.
pub(crate) fn plugin(kind: &str, name: &str, lines: &str) -> Vec<u8> {
    manifest::embed(&fixture(kind), &manifest_text(kind, name, lines)).expect("the manifest is valid")
}

pub(crate) fn manifest_text(kind: &str, name: &str, lines: &str) -> String {
    format!("name = \"{name}\"\nversion = \"1.2.3\"\nkind = \"{kind}\"\n{lines}\n")
}

/// A plugin folder and the sandbox over it.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) config: SandboxConfig,
}

impl House {
    /// Without any plugin.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut config = SandboxConfig::new(folder.path());
        config.concurrency = 4;
        config.rank = "rank".into();
        config.ingest = "ingest".into();
        Self { folder, config }
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

    pub(crate) async fn open(&self, world: &World) -> Sandbox {
        let (embedder, video) = (world.embedder.clone(), world.video.clone());
        Sandbox::load(self.config.clone(), embedder, video).await.expect("the engine can be built")
    }

    /// Opens and insists that every plugin is ready.
    pub(crate) async fn ready(&self, world: &World) -> Sandbox {
        let sandbox = self.open(world).await;
        for status in sandbox.report() {
            assert_eq!(status.state, taja_sandbox::PluginState::Ready, "{}", status.file);
        }
        sandbox
    }
}
