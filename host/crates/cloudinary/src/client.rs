//! The client: a signed request, made again where that can help.

use bytes::Bytes;
use cloudinary::upload::OptionalParameters;
use jiff::Timestamp;
use reqwest::{
    Client, RequestBuilder, Response, Url,
    multipart::{Form, Part},
    redirect,
};
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    CloudinaryConfig, CloudinaryError, Hosted, SetupError, Transformation, Variant, answer,
    config::{below, confidential},
    delivery::Delivery,
    hosted::Uploaded,
    signature::signed,
};

/// Hosts pictures on Cloudinary.
#[derive(Debug)]
pub struct Cloudinary {
    config: CloudinaryConfig,
    client: Client,
    upload: Url,
    destroy: Url,
    ping: Url,
    delivery: Delivery,
    permits: Semaphore,
}

impl Cloudinary {
    /// Makes a client; no request is made.
    ///
    /// # Errors
    /// When an address of the configuration is unfit.
    pub fn new(config: CloudinaryConfig) -> Result<Self, SetupError> {
        confidential(&config.upload_base)?;
        let cloud = config.credentials.cloud_name();
        let endpoint = |path: &[&str]| {
            below(&config.upload_base, ["v1_1", cloud].into_iter().chain(path.iter().copied()))
        };
        let client = Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            // A signed request is for one address alone.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self {
            client,
            upload: endpoint(&["image", "upload"])?,
            destroy: endpoint(&["image", "destroy"])?,
            ping: endpoint(&["ping"])?,
            delivery: Delivery::new(&config.delivery_base, cloud)?,
            permits: Semaphore::new(config.max_concurrent_requests.clamp(1, Semaphore::MAX_PERMITS)),
            config,
        })
    }

    /// Uploads a JPEG under a public id, which is put below the configured folder.
    ///
    /// What is there already stays as it is. With an id made from the content an upload may therefore be repeated: one
    /// whose answer was lost then answers `existing`.
    ///
    /// # Errors
    /// When Cloudinary is unavailable to the end, or refuses.
    pub async fn upload(&self, public_id: &str, jpeg: Bytes) -> Result<Hosted, CloudinaryError> {
        let public_id = self.in_folder(public_id);
        let uploaded: Uploaded = self
            .call(answer::read, || {
                let mut options = vec![
                    OptionalParameters::PublicId(public_id.clone()),
                    OptionalParameters::Overwrite(false),
                ];
                // An empty value would be signed here and left out there.
                if !self.config.tags.is_empty() {
                    options.push(OptionalParameters::Tags(self.config.tags.iter().cloned().collect()));
                }
                // The part shares the bytes: an attempt copies nothing.
                let file = Part::stream(jpeg.clone()).file_name("picture.jpg");
                self.client.post(self.upload.clone()).multipart(self.form(options).part("file", file))
            })
            .await?;
        uploaded.try_into()
    }

    /// Takes a picture away, from the caches too; nothing happens when it is not there.
    ///
    /// # Errors
    /// When Cloudinary is unavailable to the end, or refuses.
    pub async fn destroy(&self, public_id: &str) -> Result<(), CloudinaryError> {
        #[derive(Deserialize)]
        struct Destroyed {
            result: String,
        }
        let public_id = self.in_folder(public_id);
        let destroyed: Destroyed = self
            .call(answer::read, || {
                let options =
                    [OptionalParameters::PublicId(public_id.clone()), OptionalParameters::Invalidate(true)];
                self.client.post(self.destroy.clone()).multipart(self.form(options))
            })
            .await?;
        match destroyed.result.as_str() {
            "ok" | "not found" => Ok(()),
            other => Err(CloudinaryError::broken(format!("the result of a removal is `{other:.40}`"))),
        }
    }

    /// The bytes of a hosted picture, from the address it is delivered at; none when it is not there, or when the address
    /// is not one of this cloud's.
    ///
    /// # Errors
    /// When Cloudinary is unavailable to the end, or refuses.
    pub async fn download(&self, url: &str) -> Result<Option<Bytes>, CloudinaryError> {
        let Some(url) = self.delivery.own(url) else { return Ok(None) };
        self.call(answer::picture, || self.client.get(url.clone())).await
    }

    /// Asks whether Cloudinary answers and knows us: one short request.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), CloudinaryError> {
        #[derive(Deserialize)]
        struct Pong {
            status: String,
        }
        let credentials = &self.config.credentials;
        let request = self
            .client
            .get(self.ping.clone())
            .basic_auth(credentials.api_key(), Some(credentials.api_secret()))
            .timeout(self.config.ping_timeout);
        let pong: Pong = answer::read(request.send().await?).await?;
        match pong.status.as_str() {
            "ok" => Ok(()),
            other => Err(CloudinaryError::unavailable(format!("its status is `{other:.40}`"))),
        }
    }

    /// The address of an uploaded picture, transformed on its way out.
    #[must_use]
    pub fn delivery_url(&self, public_id: &str, transformation: &Transformation) -> String {
        self.delivery.url(&self.in_folder(public_id), transformation)
    }

    /// The address of the same picture as a variant; none unless the address is one of this cloud's.
    #[must_use]
    pub fn variant_url(&self, url: &str, variant: Variant) -> Option<String> {
        self.delivery.variant(url, variant)
    }

    fn in_folder(&self, public_id: &str) -> String {
        match self.config.folder.trim_matches('/') {
            "" => public_id.into(),
            folder => format!("{folder}/{public_id}"),
        }
    }

    fn form(&self, options: impl IntoIterator<Item = OptionalParameters>) -> Form {
        let fields = signed(options, &self.config.credentials, Timestamp::now());
        fields.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value))
    }

    /// Makes a request until it is answered, another attempt would not help, or the deadline would pass.
    async fn call<T>(
        &self,
        read: impl AsyncFn(Response) -> Result<T, CloudinaryError>,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, CloudinaryError> {
        let deadline = Instant::now() + self.config.deadline;
        let mut attempt = 1;
        loop {
            let late = |_| Err(CloudinaryError::unavailable("no answer within the deadline"));
            let answered = timeout_at(deadline, self.attempt(&read, &request)).await.unwrap_or_else(late);
            let Err(error) = answered else { return answered };
            let wait = self.config.retry.wait(&error, attempt, Timestamp::now(), fastrand::f64());
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(wait) = wait.filter(|wait| *wait < left) else { return Err(error) };
            tracing::warn!(
                attempt,
                ?wait,
                error = &error as &dyn std::error::Error,
                "cloudinary is asked again"
            );
            sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt<T>(
        &self,
        read: &impl AsyncFn(Response) -> Result<T, CloudinaryError>,
        request: &impl Fn() -> RequestBuilder,
    ) -> Result<T, CloudinaryError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        read(request().send().await?).await
    }
}
