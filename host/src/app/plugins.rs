//! How this process keeps up with the policies: what others change, what is dropped into the plugin folder, and what it
//! tells others.

mod said;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::StreamExt;
use jiff::Timestamp;
use notify::{RecursiveMode, Watcher};
use taja_queue::JobId;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(super) use self::said::RENEW_EVERY;
use self::said::Said;
use super::{App, backends};

/// How often this process says how the policies have been doing.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long a folder must be still before it is read: a file takes time to be written.
const STILL: Duration = Duration::from_millis(100);
/// How long to wait before another try to listen.
const RETRY: Duration = Duration::from_millis(500);
/// How long to wait for an answer of Redis.
const ANSWER: Duration = Duration::from_secs(2);

/// Follows changes of other processes, until told to stop: at once when they are announced, else when it is time to look.
pub(super) async fn follow(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let (heard, mut news) = mpsc::channel(1);
    let client = backends::redis_client(&app.config)?;
    let listening = client.map(|client| tokio::spawn(listen(client, channel(&app), heard)));
    let mut following: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(()) = news.recv() => {}
            () = tokio::time::sleep(app.config.plugin_poll) => {}
        }
        if let Err(error) = app.sandbox.refresh().await {
            tracing::warn!(%error, "the plugin store cannot be read: policies stay as they are");
        }
        // Loading takes its time, and policies wait for nobody.
        if following.as_ref().is_none_or(JoinHandle::is_finished) {
            let serving = app.serving.clone();
            following = Some(tokio::spawn(async move { serving.follow().await }));
        }
    }
    if let Some(listening) = listening {
        listening.abort();
    }
    Ok(())
}

fn channel(app: &App) -> String {
    format!("{}plugins", backends::redis_prefix(&app.config))
}

/// Hears announcements, and notices after every interruption that there may have been some.
async fn listen(client: redis::Client, channel: String, heard: mpsc::Sender<()>) {
    loop {
        let subscribed = tokio::time::timeout(ANSWER, async {
            let mut subscription = client.get_async_pubsub().await?;
            subscription.subscribe(&channel).await?;
            Ok::<_, redis::RedisError>(subscription)
        });
        if let Ok(Ok(mut subscription)) = subscribed.await {
            let mut messages = subscription.on_message();
            // One that waits already is as good as another.
            let _ = heard.try_send(());
            while messages.next().await.is_some() {
                let _ = heard.try_send(());
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Announces what this process changes, until told to stop.
pub(super) async fn announce(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let client = backends::redis_client(&app.config)?.context("there is nobody to tell")?;
    let mut changes = app.sandbox.changes();
    changes.mark_unchanged();
    while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
        let revision = *changes.borrow_and_update();
        let publish = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::AsyncCommands::publish::<_, _, ()>(&mut connection, channel(&app), revision).await
        };
        // Unannounced, others notice it when they look by themselves.
        if !matches!(tokio::time::timeout(ANSWER, publish).await, Ok(Ok(()))) {
            tracing::warn!(revision, "a change of policies could not be announced");
        }
    }
    Ok(())
}

/// Says how the policies have been doing, until told to stop, and once more then.
pub(super) async fn report(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let process = JobId::new().to_string();
    let mut said = Said::nothing(Instant::now());
    loop {
        let going_on = stop.run_until_cancelled(tokio::time::sleep(REPORT_EVERY)).await.is_some();
        let news = said.news(app.sandbox.statistics(), Instant::now());
        if !news.is_empty() {
            match app.plugins.report(&process, Timestamp::now(), &news).await {
                Ok(()) => said.remember(news),
                Err(error) => tracing::warn!(%error, "how the policies have been doing was not stored"),
            }
        }
        if !going_on {
            return Ok(());
        }
    }
}

/// Takes in what is dropped into the plugin folder, until told to stop.
pub(super) async fn watch_folder(app: Arc<App>, stop: CancellationToken) -> Result<()> {
    let (touched, mut touches) = watch::channel(());
    let watcher = watcher(&app.config.plugins, touched);
    if let Err(error) = &watcher {
        tracing::warn!(
            error = format!("{error:#}"),
            "what is dropped into the plugin folder will not be noticed"
        );
        stop.cancelled().await;
    }
    while let Some(Ok(())) = stop.run_until_cancelled(touches.changed()).await {
        wait_until_still(&mut touches).await;
        if let Err(error) = app.sandbox.take_in_folder().await {
            tracing::warn!(%error, "the plugin folder cannot be read");
        }
    }
    Ok(())
}

fn watcher(folder: &Path, touched: watch::Sender<()>) -> Result<impl Watcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            touched.send_replace(());
        }
    })
    .context("plugin folder watcher")?;
    watcher.watch(folder, RecursiveMode::NonRecursive).context("plugin folder")?;
    Ok(watcher)
}

async fn wait_until_still(touches: &mut watch::Receiver<()>) {
    while let Ok(Ok(())) = tokio::time::timeout(STILL, touches.changed()).await {}
    touches.mark_unchanged();
}
