//! The embedded image host: re-encoded pictures in a folder, served under `/images/{hash}`.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use taja_catalog::{
    ImageHash, Picture, PortError, PortResult, StoredImage, TenantId,
    port::{ImageHost, PortErrorKind},
};
use taja_media::Media;

/// Quality of the JPEG that shoppers see, 1 to 100: no loss that shows at the sizes of a chat.
const QUALITY: u8 = 88;

/// A folder of hosted pictures: `ab/abcd...ef/tenant.jpg`, so that two tenants with the same picture do not meet.
#[derive(Clone)]
pub struct ImageFolder {
    root: PathBuf,
    media: Arc<Media>,
}

impl ImageFolder {
    /// Opens the folder, making it if need be. Pictures are encoded on the threads of `media`.
    pub async fn open(root: PathBuf, media: Arc<Media>) -> io::Result<Self> {
        tokio::fs::create_dir_all(&root).await?;
        Ok(Self { root, media })
    }

    /// The bytes of a picture, whoever put it there: they are the same for the same hash. A JPEG.
    pub async fn read(&self, hash: &ImageHash) -> io::Result<Option<Vec<u8>>> {
        let mut entries = match tokio::fs::read_dir(self.folder(hash)).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        while let Some(entry) = entries.next_entry().await? {
            if entry.path().extension().is_some_and(|extension| extension == "jpg") {
                return tokio::fs::read(entry.path()).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Writes something.
    async fn writable(&self) -> io::Result<()> {
        // Of its own: many may look at the same time.
        let probe = self.root.join(format!(".probe-{}", taja_queue::JobId::new()));
        tokio::fs::write(&probe, b"").await?;
        tokio::fs::remove_file(&probe).await
    }

    fn folder(&self, hash: &ImageHash) -> PathBuf {
        let name = hash.to_string();
        self.root.join(&name[..2]).join(name)
    }

    fn file(&self, tenant: &TenantId, hash: &ImageHash) -> PathBuf {
        self.folder(hash).join(format!("{tenant}.jpg"))
    }
}

fn failed(error: io::Error) -> PortError {
    PortError::from_source("images", PortErrorKind::Unavailable, error)
}

/// Writes whole or not at all: readers and a crash never see half a picture.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let part = path.with_extension(format!("{}.part", taja_queue::JobId::new()));
    let mut file = std::fs::File::create(&part)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    std::fs::rename(part, path)?;
    // The name, too, must survive a power cut.
    std::fs::File::open(folder)?.sync_all()
}

#[async_trait]
impl ImageHost for ImageFolder {
    async fn put(&self, tenant: &TenantId, hash: &ImageHash, picture: &Picture) -> PortResult<String> {
        let path = self.file(tenant, hash);
        if !tokio::fs::try_exists(&path).await.map_err(failed)? {
            let jpeg = jpeg_of(&self.media, picture).await?;
            let write = tokio::task::spawn_blocking(move || write_whole(&path, &jpeg));
            write.await.map_err(io::Error::other).and_then(|written| written).map_err(failed)?;
        }
        Ok(format!("/images/{hash}"))
    }

    async fn fetch(&self, tenant: &TenantId, image: &StoredImage) -> PortResult<Option<Bytes>> {
        match tokio::fs::read(self.file(tenant, &image.hash)).await {
            Ok(jpeg) => Ok(Some(jpeg.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn remove(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<()> {
        match tokio::fs::remove_file(self.file(tenant, hash)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    async fn check(&self) -> PortResult<()> {
        self.writable().await.map_err(failed)
    }
}

/// A picture as it is served: re-encoded, so that nothing of the upload but its pixels survives.
pub async fn jpeg_of(media: &Media, picture: &Picture) -> PortResult<Vec<u8>> {
    let raster = picture.raster.clone();
    let busy = |error| PortError::from_source("images", PortErrorKind::Unavailable, error);
    let encode = move || taja_media::encode_jpeg(&raster, QUALITY);
    media.compute(encode).await.and_then(|jpeg| jpeg).map_err(busy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taja_catalog::{PerceptualHash, Raster};
    use taja_media::MediaConfig;

    #[tokio::test]
    async fn many_may_look_at_once_whether_it_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let media = Arc::new(Media::new(MediaConfig::default()).unwrap());
        let images = ImageFolder::open(folder.path().join("i"), media).await.unwrap();
        futures::future::try_join_all((0..64).map(|_| images.check())).await.unwrap();
        assert_eq!(folder.path().join("i").read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_picture_stays_while_any_tenant_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let images =
            ImageFolder::open(folder.path().join("i"), Arc::new(Media::new(MediaConfig::default()).unwrap()))
                .await
                .unwrap();
        let hash = ImageHash::of(b"x");
        let raster = Raster::new(8, 8, vec![200; 192]).unwrap();
        let picture = Picture { hash: Some(hash), perceptual: PerceptualHash(0), raster };
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_eq!(images.put(&a, &hash, &picture).await.unwrap(), format!("/images/{hash}"));
        images.put(&b, &hash, &picture).await.unwrap();
        images.remove(&a, &hash).await.unwrap();
        let jpeg = images.read(&hash).await.unwrap().unwrap();
        assert_eq!(&jpeg[..3], &[0xFF, 0xD8, 0xFF]);
        images.remove(&b, &hash).await.unwrap();
        images.remove(&b, &hash).await.unwrap();
        assert!(images.read(&hash).await.unwrap().is_none());
    }
}
