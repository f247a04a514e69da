//! Guests for the tests, and sandboxes that hold them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::json;
use taja_sandbox::{Sandbox, SandboxConfig, manifest};
use tempfile::TempDir;

use crate::fakes::World;

/// The component of a fixture. Built by cargo, which does nothing when it is up to date and locks when it is not.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--examples", "--locked", "--quiet", "--target", "wasm32-wasip2"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/guest"))
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo can be run");
        assert!(built.success(), "the fixtures cannot be built");
        target.join("wasm32-wasip2/release/examples")
    });
    std::fs::read(folder.join(format!("{name}.wasm"))).expect("the fixture was built")
}

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
