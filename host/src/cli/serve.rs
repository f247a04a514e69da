//! `taja serve`: everything in one process.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{client::Client, import, settings::Settings, write_out};
use crate::app::{self, App};

/// Serve the HTTP interface and run jobs, until SIGTERM or Ctrl-C.
#[derive(Args)]
pub struct Serve {
    /// Import this file when the catalogue is empty, so that there is something to search
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub async fn run(self) -> anyhow::Result<bool> {
        let config = self.settings.read()?;
        let running = app::start(config).await?;
        write_out(&format!("listening on http://{}", running.address))?;
        let shutdown = running.shutdown_token();
        tokio::spawn(stop_on_signal(shutdown.clone()));
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
        let client = Client::new(&format!("http://{address}"));
        let mut quiet = import::Quiet;
        let import = import::import_file(&client, &file, &mut quiet);
        match shutdown.run_until_cancelled(import).await {
            Some(Ok(summary)) => eprintln!("{summary}"),
            Some(Err(error)) => eprintln!("the sample was not imported: {error:#}"),
            None => return,
        }
    }
    if let Some(notice) = app.notice() {
        eprintln!("\nThe model: {notice}");
    }
    eprintln!("\nTry it:\n  curl -s -H 'Prefer: wait=10' -d 'query=fresh fruit' http://{address}/search");
    eprintln!("  open http://{address}/docs");
}
