//! A stand-in for Cloudinary that checks requests as the service does, by its documentation alone.

mod account;
mod cloud;
mod fault;
mod form;
mod line;
mod refusal;
mod routes;

use std::{net::TcpListener, sync::Arc};

use anyhow::{Context, Result};
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use cloud::Cloud;
pub use cloud::{Asset, Request};
pub use fault::Fault;
use line::{Cut, Lines};

/// A Cloudinary account on a loopback port: uploads, removals, the ping, and delivery of what was uploaded.
///
/// Uploads and removals need a SHA-256 signature (version 2) over every parameter and a time in seconds of the last
/// hour. Pictures are delivered as they are, whatever transformation their address names. It has threads of its own:
/// neither a test's paused clock nor its busy executor touches it.
///
/// Other processes set faults and list assets over HTTP: `POST /_test/faults` takes a [`Fault`] as JSON with an
/// optional `times` (until cleared without it), `DELETE /_test/faults` clears them, `GET /_test/assets` lists.
#[derive(Debug)]
pub struct FakeCloudinary {
    cloud: Arc<Mutex<Cloud>>,
    port: u16,
    runtime: Option<Runtime>,
}

impl FakeCloudinary {
    /// The account's cloud name.
    pub const CLOUD_NAME: &str = account::CLOUD_NAME;
    /// The account's API key.
    pub const API_KEY: &str = account::API_KEY;
    /// The account's API secret.
    pub const API_SECRET: &str = account::API_SECRET;

    /// Starts one on a free port.
    ///
    /// # Errors
    /// When the machine gives no port or no thread.
    pub fn start() -> Result<Self> {
        Self::start_on(0)
    }

    /// Starts one on a port.
    ///
    /// # Errors
    /// When the port is taken, or the machine gives no thread.
    pub fn start_on(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port}"))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let cloud = Arc::new(Mutex::new(Cloud::new(format!("http://127.0.0.1:{port}"))));
        let service: IntoMakeServiceWithConnectInfo<_, Cut> =
            routes::router(Arc::clone(&cloud)).into_make_service_with_connect_info();
        let lines = {
            let _entered = runtime.enter();
            Lines::new(tokio::net::TcpListener::from_std(listener)?)
        };
        runtime.spawn(async move { axum::serve(lines, service).await });
        Ok(Self { cloud, port, runtime: Some(runtime) })
    }

    /// The address of both its sides: uploads and delivery.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What `CLOUDINARY_URL` is set to for this account.
    #[must_use]
    pub fn cloudinary_url(&self) -> String {
        format!("cloudinary://{}:{}@{}", Self::API_KEY, Self::API_SECRET, Self::CLOUD_NAME)
    }

    /// Has the fault happen to the next so many requests, after those that faults are set for already.
    pub fn fault_next(&self, times: u32, fault: Fault) {
        self.cloud.lock().faults.add(fault, Some(times));
    }

    /// Has the fault happen to each request until faults are cleared.
    pub fn fault_until_cleared(&self, fault: Fault) {
        self.cloud.lock().faults.add(fault, None);
    }

    /// Ends all faults. A request that stalls goes on stalling.
    pub fn clear_faults(&self) {
        self.cloud.lock().faults.clear();
    }

    /// The public ids of what it hosts, in order.
    #[must_use]
    pub fn assets(&self) -> Vec<String> {
        self.cloud.lock().assets.keys().cloned().collect()
    }

    /// What it hosts under a public id.
    #[must_use]
    pub fn asset(&self, public_id: &str) -> Option<Asset> {
        self.cloud.lock().assets.get(public_id).cloned()
    }

    /// How many uploads stored a picture under a public id; one that found it there does not count.
    #[must_use]
    pub fn uploads(&self, public_id: &str) -> u32 {
        self.cloud.lock().uploads(public_id)
    }

    /// The requests to its upload side so far, faulty ones among them.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.cloud.lock().requests.clone()
    }
}

impl Drop for FakeCloudinary {
    fn drop(&mut self) {
        // Dropping a runtime would block, which an asynchronous test does not allow.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
