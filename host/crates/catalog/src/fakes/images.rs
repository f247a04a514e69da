//! Pictures without codecs, and a host for them without a network.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Fault, held};
use crate::{
    id::{ImageHash, TenantId},
    picture::{PerceptualHash, Picture, Raster, Region},
    port::{ImageDecoder, ImageHost, MediaError, PortErrorKind, PortResult},
    product::StoredImage,
};

/// Most pixels the fake decoder takes.
const MAX_PIXELS: u64 = 1_000_000;

/// A binary PPM file ("P6") of these RGB pixels: a real picture that needs no codec.
pub fn ppm(width: u32, height: u32, rgb: &[u8]) -> Bytes {
    let mut file = format!("P6\n{width} {height}\n255\n").into_bytes();
    file.extend_from_slice(rgb);
    file.into()
}

/// A PPM file of one colour, 16 pixels square. `seed` dots its last pixel, so that the bytes differ and the look
/// does not.
pub fn plain(colour: [u8; 3], seed: u8) -> Bytes {
    let mut rgb = colour.repeat(16 * 16);
    rgb[16 * 16 * 3 - 1] = seed;
    ppm(16, 16, &rgb)
}

/// Decodes binary PPM files, and nothing else.
#[derive(Debug, Default, Clone, Copy)]
pub struct PpmDecoder;

impl PpmDecoder {
    fn header(bytes: &[u8]) -> Result<(u32, u32, &[u8]), MediaError> {
        let corrupt = || MediaError::Corrupt("no PPM header".into());
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        if lines.next() != Some(b"P6") {
            return Err(MediaError::Unsupported("application/octet-stream".into()));
        }
        let size = lines.next().and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(corrupt)?;
        let (width, height) = size.split_once(' ').ok_or_else(corrupt)?;
        let side = |text: &str| text.parse::<u32>().map_err(|_| corrupt());
        let pixels = lines.nth(1).ok_or_else(corrupt)?;
        Ok((side(width)?, side(height)?, pixels))
    }
}

#[async_trait]
impl ImageDecoder for PpmDecoder {
    async fn decode(&self, bytes: Bytes) -> Result<Picture, MediaError> {
        if bytes.is_empty() {
            return Err(MediaError::Empty);
        }
        let (width, height, pixels) = Self::header(&bytes)?;
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(MediaError::TooLarge { width, height, max_pixels: MAX_PIXELS });
        }
        let raster = Raster::new(width, height, pixels.to_vec())
            .ok_or_else(|| MediaError::Corrupt("not as many pixels as the header says".into()))?;
        Ok(Picture { hash: Some(ImageHash::of(&bytes)), perceptual: PerceptualHash::of(&raster), raster })
    }

    async fn cut(&self, picture: Picture, region: Region) -> Result<Picture, MediaError> {
        Ok(picture.cut(&region))
    }
}

/// Hosts pictures at addresses nobody serves.
#[derive(Debug, Default)]
pub struct InMemoryImageHost {
    hosted: Mutex<BTreeMap<(TenantId, ImageHash), Bytes>>,
    fault: Fault,
}

impl InMemoryImageHost {
    /// The next call fails so.
    pub fn fail_next(&self, kind: PortErrorKind) {
        self.fault.arm(kind);
    }

    /// The hashes of everything hosted for a shop, in order.
    pub fn hosted(&self, tenant: &TenantId) -> Vec<ImageHash> {
        held(&self.hosted).keys().filter(|(owner, _)| owner == tenant).map(|(_, hash)| *hash).collect()
    }
}

#[async_trait]
impl ImageHost for InMemoryImageHost {
    async fn put(&self, tenant: &TenantId, hash: &ImageHash, picture: &Picture) -> PortResult<String> {
        self.fault.strike("images")?;
        let file = ppm(picture.raster.width(), picture.raster.height(), picture.raster.rgb());
        held(&self.hosted).insert((tenant.clone(), *hash), file);
        Ok(format!("/images/{tenant}/{hash}.ppm"))
    }

    async fn fetch(&self, tenant: &TenantId, image: &StoredImage) -> PortResult<Option<Bytes>> {
        self.fault.strike("images")?;
        Ok(held(&self.hosted).get(&(tenant.clone(), image.hash)).cloned())
    }

    async fn remove(&self, tenant: &TenantId, hash: &ImageHash) -> PortResult<()> {
        self.fault.strike("images")?;
        held(&self.hosted).remove(&(tenant.clone(), *hash));
        Ok(())
    }

    async fn check(&self) -> PortResult<()> {
        self.fault.strike("images")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ppm_file_gives_its_pixels_back() {
        let picture = PpmDecoder.decode(ppm(2, 1, &[1, 2, 3, 10, 11, 12])).await.unwrap();
        assert_eq!((picture.raster.width(), picture.raster.height()), (2, 1));
        assert_eq!(picture.raster.rgb(), &[1, 2, 3, 10, 11, 12]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_picture_are_refused_by_kind() {
        let refused = async |bytes: Bytes| PpmDecoder.decode(bytes).await.unwrap_err().code();
        assert_eq!(refused(Bytes::new()).await, "media_empty");
        assert_eq!(refused(Bytes::from_static(b"GIF89a")).await, "media_type_unsupported");
        assert_eq!(refused(ppm(9000, 9000, &[])).await, "media_too_many_pixels");
        assert_eq!(refused(ppm(2, 2, &[0; 11])).await, "media_undecodable");
    }

    #[tokio::test]
    async fn plain_pictures_with_other_seeds_look_the_same_and_are_not() {
        let one = PpmDecoder.decode(plain([200, 0, 0], 1)).await.unwrap();
        let other = PpmDecoder.decode(plain([200, 0, 0], 2)).await.unwrap();
        assert_ne!(one.hash, other.hash);
        assert_eq!(one.perceptual.distance(other.perceptual), 0);
    }
}
