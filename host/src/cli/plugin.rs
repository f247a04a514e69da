//! `taja plugin`: components, from the compiler to the service that they serve.

mod author;
mod evaluate;
mod files;
mod life;
mod oci;
mod replay;
mod source;
mod tables;

use std::path::{Path, PathBuf};

use clap::{
    Args, Subcommand,
    builder::{PathBufValueParser, TypedValueParser},
};
use serde_json::{Value, json};
use taja_sandbox::Kind;

use self::{
    author::{
        bench::Bench,
        build::{self, Types},
        dev::Dev,
        new::new,
        package::{Language, MANIFEST, Package, component_or_own},
        test::Test,
    },
    oci::Reference,
    source::Source,
};
use super::{client::At, search::SearchCommand, settings::Settings};

const REGISTRY_HELP: &str = "Registries are spoken to over HTTPS, and over plain HTTP on this machine. \
                             TAJA_OCI_USER and TAJA_OCI_PASSWORD are shown to the registry alone, and to the \
                             server of tokens that TAJA_OCI_TOKEN_HOST names, where that is another host.";

/// Make policy components, bring them to the service, and decide which of them serve whom.
#[derive(Subcommand)]
pub enum Plugin {
    /// Begin a package: sources, the contract, an SDK, and cases to test it by
    New {
        /// The plugin's name: a-z, 0-9 and hyphen
        #[arg(value_parser = plugin_name)]
        name: String,
        /// What it is for
        #[arg(long, value_parser = kind, value_name = "rank|search|ingest")]
        kind: Kind,
        /// What it is written in
        #[arg(long, value_enum)]
        lang: Language,
        /// Where to; nothing may be there yet [default: the name]
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Build the component of a package, with its manifest inside: build/NAME.wasm
    Build {
        /// The package
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Cargo's profile, for a package in Rust
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Build a package and run its cases in the sandbox that serves
    Test(Test),
    /// Measure calls of components, side by side
    Bench(Bench),
    /// Watch a package: build what changes, let it serve, and show what that does to a search
    Dev(Dev),
    /// List the plugins of the service and their versions
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Load components as the service would, without one, and say how that went
    Check {
        /// The components; the one of the package in this folder, or those of the plugin folder, when none is named
        files: Vec<PathBuf>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Embed a manifest (plugin.toml) into a component
    Pack {
        /// The component, as the compiler made it
        component: PathBuf,
        /// Its manifest
        #[arg(long, value_name = "FILE")]
        manifest: PathBuf,
        /// Golden requests: a recording whose calls the component must answer as recorded wherever it is brought
        #[arg(long, value_name = "FILE")]
        goldens: Option<PathBuf>,
        /// Where to write the result
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make a key to sign plugins with, and print its public half for those who are to trust it
    Keygen {
        /// Where to write the key; a file that is there is kept
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a component that has its manifest
    Sign {
        /// The component, as `taja plugin pack` made it
        component: PathBuf,
        /// The key, as `taja plugin keygen` made it
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where to write the signature [default: the component's path and .sig]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put a component into an OCI registry, and print the digests to fetch it by
    #[command(after_help = REGISTRY_HELP)]
    Publish {
        /// The component, as `taja plugin pack` made it
        component: PathBuf,
        /// Where to: oci://HOST[:PORT]/REPOSITORY[:TAG]; without a tag it gets that of its version
        #[arg(value_name = "REFERENCE")]
        to: Reference,
        /// Its signature [default: the component's path and .sig, if that is there]
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a component out of an OCI registry, and the signature that it came with
    #[command(after_help = REGISTRY_HELP)]
    Fetch {
        /// Where from: oci://HOST[:PORT]/REPOSITORY@sha256:DIGEST, or :TAG
        #[arg(value_name = "REFERENCE")]
        from: Reference,
        /// Where to write it; its signature is written to that path and .sig
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring a component to the service, which keeps it when it passes every check
    #[command(after_help = REGISTRY_HELP)]
    Push {
        /// The component, as `taja plugin pack` made it, or its reference: oci://HOST[:PORT]/REPOSITORY@sha256:DIGEST,
        /// or :TAG
        #[arg(value_parser = PathBufValueParser::new().try_map(Source::of))]
        component: Source,
        /// Its signature [default: what it came with, or the component's path and .sig, if that is there]
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        /// Let it serve at once
        #[arg(long)]
        activate: bool,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Measure a version beside what serves, by judgements that the service keeps; exit status 1 if it finds less
    Evaluate {
        /// The version, or the beginning of its digest; the only one unless told
        #[arg(long)]
        version: Option<String>,
        /// The shop's set of judgements (`PUT /tenants/SHOP/judgements/SET`)
        #[arg(long, value_name = "SET")]
        judgements: String,
        /// Its settings, or @ and a file that holds them [default: those that the plugin has in its slot]
        #[arg(long = "settings", value_name = "JSON", value_parser = life::settings)]
        plugin_settings: Option<Value>,
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Ask for an evaluation before a version serves in the slot of a plugin, or end that
    Gate {
        /// Seconds since the evaluation began, at most
        #[arg(long, default_value_t = 24 * 3600, value_parser = clap::value_parser!(u32).range(1..))]
        max_age_seconds: u32,
        /// End it
        #[arg(long, conflicts_with = "max_age_seconds")]
        stop: bool,
        #[command(flatten)]
        on: On,
    },
    /// Let a version serve
    Activate {
        /// The version, or the beginning of its digest; the only one unless told
        #[arg(long)]
        version: Option<String>,
        /// The evaluation that shows that it finds no less than what serves: the job that `taja plugin evaluate` names
        #[arg(long, value_name = "JOB")]
        evaluation: Option<String>,
        #[command(flatten)]
        with: With,
        #[command(flatten)]
        on: On,
    },
    /// Let a plugin serve no longer; a shop is then served by everybody's choice
    Deactivate {
        #[command(flatten)]
        on: On,
    },
    /// Let a version serve a share of the sessions, or end that
    Canary {
        /// The version, or the beginning of its digest
        #[arg(long, required_unless_present = "stop")]
        version: Option<String>,
        /// Percent of the sessions, 1 to 100
        #[arg(long, required_unless_present = "stop", value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: Option<u8>,
        /// The evaluation that shows that it finds no less than what serves: the job that `taja plugin evaluate` names
        #[arg(long, value_name = "JOB")]
        evaluation: Option<String>,
        /// End it
        #[arg(long, conflicts_with_all = ["version", "percent", "evaluation", "with"])]
        stop: bool,
        #[command(flatten)]
        with: With,
        #[command(flatten)]
        on: On,
    },
    /// Compare a version with what is live, without letting it serve, or end that
    Shadow {
        /// The version, or the beginning of its digest
        #[arg(long, required_unless_present = "stop")]
        version: Option<String>,
        /// One request in so many
        #[arg(long, required_unless_present = "stop", value_parser = clap::value_parser!(u32).range(1..))]
        every: Option<u32>,
        /// End it
        #[arg(long, conflicts_with_all = ["version", "every", "with"])]
        stop: bool,
        #[command(flatten)]
        with: With,
        #[command(flatten)]
        on: On,
    },
    /// Let what served before serve again
    Rollback {
        /// An earlier choice, by its version or the beginning of its digest [default: the last one]
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// Search, and write down what every policy was given, asked and answered
    Record {
        /// Where to write the recording
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        search: SearchCommand,
    },
    /// Play a recording again, without a service, and compare the answers
    Replay {
        /// The recording, as `taja plugin record` wrote it
        recording: PathBuf,
        /// Another version, played in the place of the one of its name
        #[arg(long, value_name = "COMPONENT")]
        with: Option<PathBuf>,
        /// Other settings for that version, or @ and a file that holds them [default: those that were recorded]
        #[arg(long = "settings", value_name = "JSON", value_parser = life::settings, requires = "with")]
        plugin_settings: Option<Value>,
        /// Print as JSON, one object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show what fills the slot of a plugin, and how its versions have been doing
    Status {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Show what happened to the slot of a plugin, the latest first
    History {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: String,
        /// How much to show, at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Print as JSON, one object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Remove a version that nobody uses
    Remove {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: String,
        /// The version, or the beginning of its digest
        version: String,
        #[command(flatten)]
        at: At,
    },
}

/// The settings that a version is to have.
#[derive(Args)]
#[group(id = "with")]
pub struct With {
    /// Its settings, or @ and a file that holds them [default: those that the plugin has in its slot]
    #[arg(long = "settings", value_name = "JSON", value_parser = life::settings)]
    settings: Option<Value>,
    /// Measure it beside what serves by these judgements first (see `taja eval`), and change nothing if its nDCG is lower beyond
    /// what chance explains
    #[arg(long, value_name = "FILE")]
    judgements: Option<PathBuf>,
}

/// The plugin that a step is about.
#[derive(Args)]
pub struct On {
    /// The plugin
    #[arg(value_parser = plugin_name)]
    name: String,
    /// Why, for the history
    #[arg(long, default_value = "")]
    reason: String,
    /// Print everything about the plugin afterwards, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

impl Plugin {
    pub async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::Check { files, json, settings } => {
                let own = files.is_empty() && Path::new(MANIFEST).is_file();
                let files = if own { vec![component_or_own(None)?] } else { files };
                return files::check(files, json, &settings).await;
            }
            Self::New { name, kind, lang, folder } => new(&name, kind, lang, folder)?,
            Self::Build { folder, profile } => {
                let built = build::build(&Package::open(&folder)?, &profile, Types::Checked).await?;
                eprintln!("{} KiB in {:.1} s", built.bytes.div_ceil(1024), built.took.as_secs_f64());
                super::write_out(&built.component.display().to_string())?;
            }
            Self::Test(test) => return test.run().await,
            Self::Bench(bench) => return bench.run().await,
            Self::Dev(dev) => dev.run().await?,
            Self::Replay { recording, with, plugin_settings, json, settings } => {
                let with = with.as_deref();
                return replay::replay(&recording, with, plugin_settings, json, &settings).await;
            }
            Self::Record { out, search } => search.record(&out).await?,
            Self::Pack { component, manifest, goldens, out } => {
                files::pack(&component, &manifest, goldens.as_deref(), &out)?;
            }
            Self::Keygen { out } => files::keygen(&out)?,
            Self::Sign { component, key, out } => files::sign(&component, &key, out)?,
            Self::List { json, at } => life::list(json, at).await?,
            Self::Publish { component, to, signature, json } => {
                oci::publish(&component, to, signature, json).await?;
            }
            Self::Fetch { from, out, json } => oci::fetch(&from, &out, json).await?,
            Self::Push { component, signature, activate, json, at } => {
                life::push(&component, signature, activate, json, at).await?;
            }
            Self::Evaluate { version, judgements, plugin_settings, name, json, at } => {
                let body = evaluate::body(version, judgements, plugin_settings);
                return evaluate::evaluate(&name, body, json, at).await;
            }
            Self::Gate { max_age_seconds, stop, on } => {
                life::gate((!stop).then_some(max_age_seconds), on).await?;
            }
            Self::Activate { version, evaluation, with, on } => {
                life::activate(version, evaluation, with, on).await?;
            }
            Self::Deactivate { on } => life::deactivate(on).await?,
            Self::Canary { version, percent, evaluation, with, on, .. } => {
                let beside = percent.map(|percent| json!({ "percent": percent, "evaluation": evaluation }));
                life::beside("canary", version, beside, with, on).await?;
            }
            Self::Shadow { version, every, with, on, .. } => {
                life::beside("shadow", version, every.map(|every| json!({ "every": every })), with, on)
                    .await?;
            }
            Self::Rollback { to, on } => life::rollback(to, on).await?,
            Self::Status { name, json, at } => life::status(&name, json, at).await?,
            Self::History { name, limit, json, at } => life::history(&name, limit, json, at).await?,
            Self::Remove { name, version, at } => life::remove(&name, &version, at).await?,
        }
        Ok(true)
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    let known = [Kind::Rank, Kind::Search, Kind::Ingest].into_iter().find(|kind| kind.name() == text);
    known.ok_or_else(|| "a plugin's kind is rank, search or ingest".to_owned())
}

fn plugin_name(text: &str) -> Result<String, String> {
    if taja_catalog::plugins::is_plugin_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a plugin's name is 1 to 64 of a-z, 0-9 and hyphen".to_owned())
    }
}
