//! The image host on Cloudinary: pictures re-encoded here, and named there by shop and content.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use taja_catalog::{
    ImageHash, Picture, PortError, PortResult, StoredImage, TenantId,
    port::{ImageHost, PortErrorKind, Variant},
};
use taja_cloudinary::{Cloudinary, CloudinaryError};
use taja_media::Media;

use crate::image_folder::jpeg_of;

/// Hosts pictures under `{shop}/{hash}` in the client's folder.
pub struct CloudinaryHost {
    client: Cloudinary,
    media: Arc<Media>,
}

impl CloudinaryHost {
    /// A host over a client; pictures are encoded on the threads of `media`.
    pub fn new(client: Cloudinary, media: Arc<Media>) -> Self {
        Self { client, media }
    }
}

/// The same bytes of the same shop have the same id, so that a repeated upload is the same upload.
fn public_id(tenant: &TenantId, hash: &ImageHash) -> String {
    format!("{tenant}/{hash}")
}

#[async_trait]
impl ImageHost for CloudinaryHost {
    async fn put(&self, tenant: &TenantId, hash: &ImageHash, picture: &Picture) -> PortResult<String> {
        let jpeg = jpeg_of(&self.media, picture).await?;
        let hosted = self.client.upload(&public_id(tenant, hash), jpeg.into()).await.map_err(failed)?;
        Ok(hosted.url)
    }

    async fn fetch(&self, _: &TenantId, image: &StoredImage) -> PortResult<Option<Bytes>> {
        self.client.download(&image.url).await.map_err(failed)
    }

    async fn remove(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<()> {
        self.client.destroy(&public_id(tenant, hash)).await.map_err(failed)
    }

    fn variant(&self, url: &str, variant: Variant) -> Option<String> {
        let variant = match variant {
            Variant::Thumbnail => taja_cloudinary::Variant::Thumbnail,
            Variant::Card => taja_cloudinary::Variant::Card,
        };
        self.client.variant_url(url, variant)
    }

    async fn check(&self) -> PortResult<()> {
        self.client.ping().await.map_err(failed)
    }
}

fn failed(error: CloudinaryError) -> PortError {
    let kind = match &error {
        CloudinaryError::Unavailable { .. } => PortErrorKind::Unavailable,
        _ => PortErrorKind::Broken,
    };
    PortError::from_source("images", kind, error)
}
