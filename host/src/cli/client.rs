//! A client of the HTTP interface, for the commands that act on a catalogue.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use reqwest::{
    Method, RequestBuilder, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
    multipart::{Form, Part},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::settings::Settings;
use crate::{access::draw_key, app, config::Config};

/// Longest that one request may take: a job is waited for in pieces shorter than this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that a component may take to be sent, compiled and tried out, and that a part of an import may take to be sent.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest that an export may take to come.
const STREAM_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// How long to wait for a job in one request, seconds.
const WAIT_SECONDS: u32 = 30;

/// Which service is meant.
#[derive(clap::Args)]
pub struct At {
    /// Address of a running server; else the one at the configured address, else the data folder is opened directly
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

impl At {
    /// The shop that `--tenant` names, for a command that means one. It is then no setting of a service of our own: that
    /// would register whatever is mistyped.
    pub fn take_tenant(&mut self) -> Option<String> {
        self.settings.take("tenant")
    }

    /// Names that shop again.
    pub fn name_tenant(&mut self, tenant: Option<String>) {
        self.settings.put("tenant", tenant);
    }

    /// How a service of our own would be set up.
    pub fn config(&self) -> anyhow::Result<Config> {
        self.settings.read()
    }

    /// Does something with it, and then lets it be.
    pub async fn with<T>(&self, work: impl AsyncFnOnce(&Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let session = Session::open(self.server.as_deref(), self.settings.read()?).await?;
        let done = work(&session.client).await;
        session.close().await?;
        done
    }
}

/// What a server refuses, and why.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// The status of its answer.
    pub status: StatusCode,
    /// The word for programs.
    pub code: String,
    /// Why, for people.
    pub detail: String,
}

/// Talks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    /// The shop that an operator acts for.
    tenant: Option<String>,
    http: reqwest::Client,
}

/// A server to act on: one that runs already, or one of our own for as long as this lives.
pub struct Session {
    /// Talks to it.
    pub client: Client,
    own: Option<app::Running>,
}

impl Session {
    /// Uses `server` if it is named, else the one that serves the configured address, else starts one on the
    /// configured data folder.
    pub async fn open(server: Option<&str>, config: Config) -> anyhow::Result<Self> {
        let key = config.api_key.clone();
        if let Some(server) = server {
            return Ok(Self { client: Client::new(server, key.as_ref()), own: None });
        }
        let client = Client::new(&format!("http://{}", config.listen), key.as_ref());
        if client.is_taja().await {
            return Ok(Self { client, own: None });
        }
        let mut own_config = config;
        // Where pictures are when a service runs there, and where the next command knows them.
        own_config.public_url.get_or_insert_with(|| format!("http://{}", own_config.listen));
        own_config.listen.set_port(0);
        // Nobody else is to come in meanwhile. In front of it, because what looks like a shop's key is taken for one.
        let drawn = || draw_key().map(|key| format!("operator {}", key.expose()).into());
        let key = key.map_or_else(drawn, Ok)?;
        own_config.api_key = Some(key.clone());
        let running = app::start(own_config).await?;
        let client = Client::new(&format!("http://{}", running.address), Some(&key));
        Ok(Self { client, own: Some(running) })
    }

    /// Ends our own server, if there is one, in good order.
    pub async fn close(self) -> anyhow::Result<()> {
        let Some(running) = self.own else { return Ok(()) };
        running.shutdown_token().cancel();
        running.stopped().await
    }
}

impl Client {
    /// A client of the server at this address, which may ask for a key.
    pub fn new(base: &str, key: Option<&SecretString>) -> Self {
        let mut headers = HeaderMap::new();
        let bearer =
            key.and_then(|key| HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).ok());
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let http =
            reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().default_headers(headers).build();
        Self { base: base.trim_end_matches('/').to_owned(), tenant: None, http: http.unwrap_or_default() }
    }

    /// The same, acting for a shop when one is named.
    pub fn acting_for(&self, tenant: Option<String>) -> Self {
        Self { tenant, ..self.clone() }
    }

    /// The same, talking to another server.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    async fn is_taja(&self) -> bool {
        let request = self.http.get(format!("{}/", self.base)).timeout(Duration::from_secs(2));
        let Ok(answer) = request.send().await else { return false };
        answer.json::<Value>().await.is_ok_and(|body| body["project"] == "Taja")
    }

    /// Submits a form and waits for its job. The finished job: `completed` with `result`, or `failed` with `error`.
    pub async fn submit(&self, route: &str, form: Form) -> anyhow::Result<Value> {
        let request = self.named(self.http.post(format!("{}{route}", self.base)).multipart(form));
        let answer = request.header("Prefer", format!("wait={WAIT_SECONDS}")).send().await?;
        let mut job = read(answer).await?;
        let id = job["job_id"].as_str().context("the server named no job")?.to_owned();
        while !has_ended(&job) {
            let url = format!("{}{route}/job/{id}?wait={WAIT_SECONDS}", self.base);
            job = read(self.named(self.http.get(url)).send().await?).await?;
        }
        Ok(job)
    }

    /// Makes a job, the same one whenever it is asked for with the same key; its id.
    pub async fn begin(
        &self,
        route: &str,
        key: &str,
        with_body: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<String> {
        let request = self.http.post(format!("{}{route}", self.base)).timeout(UPLOAD_TIMEOUT);
        let request = with_body(self.named(request).header("Idempotency-Key", key));
        let accepted = read(request.send().await?).await?;
        Ok(accepted["job_id"].as_str().context("the server named no job")?.to_owned())
    }

    fn named(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.tenant {
            Some(tenant) => request.header("Taja-Tenant", tenant),
            None => request,
        }
    }

    /// Reads a resource.
    pub async fn get(&self, route: &str) -> anyhow::Result<Value> {
        read(self.named(self.http.get(format!("{}{route}", self.base))).send().await?).await
    }

    /// Reads what may be long, as it comes.
    pub async fn stream(
        &self,
        route: &str,
        query: &[(&str, Option<String>)],
    ) -> anyhow::Result<reqwest::Response> {
        let request = self.named(self.http.get(self.address(route, query)?)).timeout(STREAM_TIMEOUT);
        let answer = request.send().await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        read(answer).await?;
        bail!("the server answered nothing that can be read")
    }

    /// Makes something.
    pub async fn create(&self, route: &str, body: &Value) -> anyhow::Result<Value> {
        read(self.http.post(format!("{}{route}", self.base)).json(body).send().await?).await
    }

    /// Takes something away.
    pub async fn delete(&self, route: &str) -> anyhow::Result<Value> {
        read(self.http.delete(format!("{}{route}", self.base)).send().await?).await
    }

    /// Asks something of a route that takes a query, and maybe a body. What is none is not sent.
    pub async fn call(
        &self,
        method: Method,
        route: &str,
        query: &[(&str, Option<String>)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let request = self.named(self.http.request(method, self.address(route, query)?));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        read(request.send().await?).await
    }

    /// Brings a component, and the signature over it.
    pub async fn upload(
        &self,
        route: &str,
        query: &[(&str, Option<String>)],
        component: Vec<u8>,
        signature: Option<&str>,
    ) -> anyhow::Result<Value> {
        let request = self.http.post(self.address(route, query)?).timeout(UPLOAD_TIMEOUT);
        let request = request.header(CONTENT_TYPE, "application/wasm").body(component);
        let request = match signature {
            Some(signature) => request.header("Taja-Signature", signature),
            None => request,
        };
        read(request.send().await?).await
    }

    fn address(&self, route: &str, query: &[(&str, Option<String>)]) -> anyhow::Result<Url> {
        let given = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        Ok(Url::parse_with_params(&format!("{}{route}", self.base), given)?)
    }

    /// Asks for something to be done that needs no more words.
    pub async fn post(&self, route: &str) -> anyhow::Result<Value> {
        read(self.http.post(format!("{}{route}", self.base)).send().await?).await
    }
}

async fn read(answer: reqwest::Response) -> anyhow::Result<Value> {
    let status = answer.status();
    if status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let body: Value =
        answer.json().await.with_context(|| format!("the server answered {status} without JSON"))?;
    if status.is_success() {
        return Ok(body);
    }
    let detail = body["detail"].as_str().unwrap_or(status.as_str());
    let detail = match body["stage"].as_str() {
        Some(stage) => format!("refused at the check `{stage}`: {detail}"),
        None => detail.to_owned(),
    };
    let code = body["code"].as_str().unwrap_or_default().to_owned();
    Err(Refused { status, code, detail }.into())
}

/// Whether a job has ended, and how no more matters.
pub fn has_ended(job: &Value) -> bool {
    matches!(job["status"].as_str(), Some("completed" | "failed"))
}

/// A file as a part of a form.
pub async fn file_part(path: &Path) -> anyhow::Result<Part> {
    let name = path.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy().into_owned());
    let bytes = tokio::fs::read(path).await.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Part::bytes(bytes).file_name(name))
}
