//! The plugin folder: what lies in it is taken in as if it had been uploaded, and serves every shop unless somebody chose
//! otherwise.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use semver::Version;
use serde::Serialize;
use taja_catalog::{
    PluginDigest,
    plugins::{Activation, Slot},
};

use crate::{
    admission::{Upload, check_size},
    binary::Binary,
    config::SandboxConfig,
    house::House,
    life::{Order, OrderError, Step, Wanted},
    limits::Allowance,
    load,
    manifest::{Capability, Manifest},
    signature::Signature,
};

/// Who it is that activates what lies in the folder.
pub(crate) const FOLDER: &str = "plugin folder";

/// Whether a plugin can be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum PluginState {
    /// It can.
    Ready,
    /// It cannot, and why.
    Refused(String),
}

/// What became of one file of the plugin folder.
#[derive(Debug, Clone, Serialize)]
pub struct PluginStatus {
    /// Its name inside the folder.
    pub file: String,
    /// What it says of itself, if that could be read.
    pub manifest: Option<Manifest>,
    /// SHA-256 of the file, lower-case hex, if it could be read.
    pub digest: Option<PluginDigest>,
    /// What a call of it may use up, if its manifest could be read.
    pub limits: Option<Allowance>,
    /// Whether it can be called.
    #[serde(flatten)]
    pub state: PluginState,
    /// Milliseconds from its bytes to machine code.
    pub compile_ms: u64,
    /// Whether the machine code came from the cache.
    pub cached: bool,
}

/// A file of the folder that may be a plugin.
pub(crate) struct File {
    pub(crate) component: Binary,
    pub(crate) manifest: Manifest,
    /// What signs it lies beside it.
    pub(crate) signature: Option<Signature>,
}

/// The plugin files of a folder, sorted by name.
pub(crate) fn components(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Files that are to serve together, each read as far as that takes no compiler.
pub(crate) fn survey(paths: &[PathBuf], config: &SandboxConfig) -> Vec<(PluginStatus, Option<File>)> {
    let mut found = Found::default();
    paths.iter().map(|path| found.take(path, config)).collect()
}

/// Names and modalities that are taken by files before.
#[derive(Default)]
struct Found {
    names: HashMap<String, String>,
    modalities: HashMap<String, String>,
}

impl Found {
    fn take(&mut self, path: &Path, config: &SandboxConfig) -> (PluginStatus, Option<File>) {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let state = PluginState::Ready;
        let mut status = PluginStatus {
            file,
            manifest: None,
            digest: None,
            limits: None,
            state,
            compile_ms: 0,
            cached: false,
        };
        let read = self.read(path, config, &mut status).map_err(|reason| status.refuse(reason));
        (status, read.ok())
    }

    fn read(
        &mut self,
        path: &Path,
        config: &SandboxConfig,
        status: &mut PluginStatus,
    ) -> Result<File, String> {
        let size = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
        check_size(size, config.max_component_bytes)?;
        let component = Binary::from(fs::read(path).map_err(|error| format!("cannot be read: {error}"))?);
        status.digest = Some(component.digest());
        let manifest = load::read(component.clone()).map_err(|refused| refused.to_string())?.manifest;
        status.manifest = Some(manifest.clone());
        status.limits = Some(manifest.allowance(&config.maximum));
        self.clash(&status.file, &manifest)?;
        let signature = match fs::read_to_string(path.with_extension("wasm.sig")) {
            Ok(text) => Some(text.trim().parse().map_err(|error| format!("{}.sig: {error}", status.file))?),
            Err(_) => None,
        };
        Ok(File { component, manifest, signature })
    }

    /// A plugin cannot stand beside one before it that has its name, or answers what it answers.
    fn clash(&mut self, file: &str, manifest: &Manifest) -> Result<(), String> {
        if let Some(other) = self.names.get(&manifest.name) {
            return Err(format!("the name {:?} is taken by {other}", manifest.name));
        }
        let mut accepts = manifest.accepts.iter();
        if let Some((modality, by)) = accepts.find_map(|name| Some((name, self.modalities.get(name)?))) {
            return Err(format!("the modality {modality:?} is taken by the plugin {by:?}"));
        }
        self.names.insert(manifest.name.clone(), file.to_owned());
        let accepts = manifest.accepts.iter().map(|modality| (modality.clone(), manifest.name.clone()));
        self.modalities.extend(accepts);
        Ok(())
    }
}

impl PluginStatus {
    pub(crate) fn refuse(&mut self, reason: String) {
        tracing::warn!(file = self.file, reason, "plugin refused");
        self.state = PluginState::Refused(reason);
    }
}

/// What lay in the folder when it was last taken in, by file; nothing before the first time.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<Option<HashMap<String, PluginDigest>>>);

impl Inbox {
    /// Whether a file was put there, or became another one, while this process was looking.
    fn was_dropped(&self, status: &PluginStatus) -> bool {
        let known = self.0.lock();
        known.as_ref().is_some_and(|known| known.get(&status.file) != status.digest.as_ref())
    }

    fn taken_in(&self, report: &[PluginStatus]) {
        let files = report.iter().filter_map(|status| Some((status.file.clone(), status.digest?)));
        *self.0.lock() = Some(files.collect());
    }
}

impl House {
    /// Takes in what the folder holds. A file that is no good is told in the report, not an error; what served before then
    /// goes on serving.
    pub(crate) async fn take_in_folder(self: &Arc<Self>) -> io::Result<Vec<PluginStatus>> {
        let config = self.config.clone();
        let found = tokio::task::spawn_blocking(move || {
            components(&config.plugins).map(|paths| survey(&paths, &config))
        })
        .await;
        let mut report = Vec::new();
        for (mut status, file) in found.map_err(io::Error::other)?? {
            if let Some(file) = file {
                match self.take_in(file, &mut status).await {
                    Ok(()) => tracing::info!(file = status.file, digest = ?status.digest, "plugin ready"),
                    Err(reason) => status.refuse(reason),
                }
            }
            report.push(status);
        }
        self.inbox.taken_in(&report);
        Ok(report)
    }

    async fn take_in(self: &Arc<Self>, file: File, status: &mut PluginStatus) -> Result<(), String> {
        let upload = Upload {
            owner: None,
            by: FOLDER.to_owned(),
            component: file.component,
            signature: file.signature,
            granted: BTreeSet::from(Capability::ALL),
        };
        let added = self.add(upload).await.map_err(|error| error.to_string())?;
        status.compile_ms = added.compiled_in.as_millis() as u64;
        status.cached = added.cached;
        let is_new = added.is_new || self.inbox.was_dropped(status);
        let serves = self.put_in_service(added.version.digest, &file.manifest, is_new).await;
        serves.map_err(|error| error.to_string())
    }

    /// Activates what lies in the folder for everybody, where it may.
    async fn put_in_service(
        self: &Arc<Self>,
        digest: PluginDigest,
        manifest: &Manifest,
        is_new: bool,
    ) -> Result<(), OrderError> {
        let slot = manifest.slot();
        let configured = match slot {
            Slot::Rank => manifest.name == self.config.rank,
            Slot::Ingest => manifest.name == self.config.ingest,
            Slot::Search(_) => true,
        };
        let stored = self.store.activation(None, &slot).await?;
        if !configured || !stored.is_none_or(|row| gives_way(&row, digest, manifest, is_new)) {
            return Ok(());
        }
        let settings = self.config.settings.get(&manifest.name).cloned();
        let settings = settings.unwrap_or_else(|| serde_json::json!({}));
        let wanted = Wanted { digest, settings: Some(settings) };
        let order = Order {
            tenant: None,
            slot,
            step: Step::Activate(wanted),
            evidence: None,
            reason: String::new(),
            by: FOLDER.to_owned(),
        };
        self.order(&order).await.map(drop)
    }
}

/// Whether a file may take the place of what was chosen for a slot. One that is new may take that of any version of
/// itself. One that is not does not fight with the folder of another process: it takes the place of a lower version that a
/// folder put there, of itself with other settings, and of another plugin than the one that is configured.
fn gives_way(row: &Activation, digest: PluginDigest, manifest: &Manifest, is_new: bool) -> bool {
    let Some(live) = &row.live else { return false };
    let (by_folder, of_itself) = (row.changed_by == FOLDER, live.name == manifest.name);
    let is_above = |live: Version| manifest.version.cmp_precedence(&live).is_gt();
    let is_higher = || live.version.parse().is_ok_and(is_above);
    match of_itself {
        true if is_new => true,
        true => by_folder && (live.digest == digest || is_higher()),
        false => by_folder,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use taja_catalog::plugins::Choice;

    use super::*;

    fn gives_way_to(name: &str, version: &str, by: &str, is_new: bool) -> bool {
        let digest = |version: &str| PluginDigest::of(version.as_bytes());
        let live = Choice {
            digest: digest("1.2.0"),
            name: "ours".into(),
            version: "1.2.0".into(),
            settings: json!({}),
        };
        let row =
            Activation { live: Some(live), changed_by: by.into(), ..crate::life::blank(None, &Slot::Rank) };
        let manifest = format!("name = \"{name}\"\nversion = \"{version}\"\nkind = \"rank\"");
        let manifest: Manifest = toml::from_str(&manifest).unwrap();
        gives_way(&row, digest(version), &manifest, is_new)
    }

    #[rstest::rstest]
    #[case::newly_kept(("ours", "1.2.0", "operator", true), true)]
    #[case::newly_kept_and_lower(("ours", "1.1.0", FOLDER, true), true)]
    #[case::known_and_higher(("ours", "1.10.0", FOLDER, false), true)]
    #[case::known_and_lower(("ours", "1.1.0", FOLDER, false), false)]
    #[case::known_and_of_equal_rank(("ours", "1.2.0+other", FOLDER, false), false)]
    #[case::the_same_with_other_settings(("ours", "1.2.0", FOLDER, false), true)]
    #[case::the_same_after_an_operator(("ours", "1.2.0", "operator", false), false)]
    #[case::known_and_higher_after_an_operator(("ours", "1.10.0", "operator", false), false)]
    #[case::known_and_higher_after_a_withdrawal(("ours", "1.10.0", "service", false), false)]
    #[case::another_one_is_configured(("theirs", "0.1.0", FOLDER, false), true)]
    #[case::another_one_after_an_operator(("theirs", "9.0.0", "operator", true), false)]
    fn what_the_folder_may_replace(#[case] file: (&str, &str, &str, bool), #[case] expected: bool) {
        let (name, version, by, is_new) = file;
        assert_eq!(gives_way_to(name, version, by, is_new), expected);
    }
}
