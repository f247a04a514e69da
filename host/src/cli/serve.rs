//! `taja serve`, `taja api` and `taja worker`: the processes that stay.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{client::Client, import, settings::Settings, write_out};
use crate::{
    app::{self, App, Running},
    config::{Config, Role},
    telemetry,
};

/// Serve the HTTP interface and run jobs, until SIGTERM or Ctrl-C.
#[derive(Args)]
pub struct Serve {
    /// Import this file when the catalogue is empty, so that there is something to search
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Take part in a service of several processes, until SIGTERM or Ctrl-C.
#[derive(Args)]
pub struct Process {
    #[command(flatten)]
    settings: Settings,
}

impl Process {
    pub async fn run(self, role: Role) -> anyhow::Result<bool> {
        start(self.settings.read_for(role)?).await?.stopped().await?;
        Ok(true)
    }
}

/// Starts a service that says where it listens and stops on a signal.
async fn start(config: Config) -> anyhow::Result<Running> {
    telemetry::init_logs(&config.log, config.production);
    let running = app::start(config).await?;
    write_out(&format!("listening on http://{}", running.address))?;
    tokio::spawn(stop_on_signal(running.shutdown_token()));
    Ok(running)
}

impl Serve {
    pub async fn run(self) -> anyhow::Result<bool> {
        let running = start(self.settings.read_for(Role::Serve)?).await?;
        let shutdown = running.shutdown_token();
        let greeting = tokio::spawn(greet(running.address, running.app.clone(), self.sample, shutdown));
        running.stopped().await?;
        greeting.await.context("the sample import panicked")?;
        Ok(true)
    }
}

async fn stop_on_signal(shutdown: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received; the process must be killed to stop");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
    }
    shutdown.cancel();
    // A second signal is a person who does not want to wait.
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    std::process::exit(1);
}

/// Fills an empty catalogue with the sample, and says what to try.
async fn greet(
    address: std::net::SocketAddr,
    app: std::sync::Arc<App>,
    sample: Option<PathBuf>,
    shutdown: CancellationToken,
) {
    let empty = app.store.counts().await.is_ok_and(|counts| counts.products == 0);
    if let Some(file) = sample.filter(|_| empty) {
        eprintln!("importing the sample catalogue {} ...", file.display());
        let client = Client::new(&format!("http://{address}"), app.config.api_key.as_ref());
        let mut quiet = import::Quiet;
        let import = import::import_file(&client, &file, import::Journal::unkept, &mut quiet);
        match shutdown.run_until_cancelled(import).await {
            Some(Ok(summary)) => eprintln!("{summary}"),
            Some(Err(error)) => eprintln!("the sample was not imported: {error:#}"),
            None => return,
        }
    }
    if let Some(notice) = &app.serving.report().notice {
        eprintln!("\nThe model: {notice}");
    }
    eprintln!("\nTry it:\n  curl -s -H 'Prefer: wait=10' -d 'query=fresh fruit' http://{address}/search");
    eprintln!("  open http://{address}/docs");
}
