//! Vectors and pictures as text: base64 of their bytes, those of pictures compressed first.

use std::cell::Cell;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{
    embedding::Embedding,
    id::ImageHash,
    picture::{PerceptualHash, Picture, Raster},
};

/// Speed before size: a recording is written while somebody waits.
const COMPRESSION: i32 = 3;

thread_local! {
    /// Pixels that may still be read or written. A few bytes can unpack to gigabytes, and serde hands nothing down to
    /// the pictures deep inside a recording; outside [`with_room`] there is room for none.
    static ROOM: Cell<u64> = const { Cell::new(0) };
}

/// Reads or writes something on this thread whose pictures have at most so many pixels together.
pub(super) fn with_room<T>(pixels: u64, act: impl FnOnce() -> T) -> T {
    ROOM.set(pixels);
    let outcome = act();
    ROOM.set(0);
    outcome
}

/// Takes the room for one picture, and tells its pixels.
fn take_room(width: u32, height: u32) -> Result<u64, String> {
    let pixels = u64::from(width) * u64::from(height);
    let left = ROOM.get().checked_sub(pixels);
    ROOM.set(left.ok_or_else(|| format!("picture: no room for {width} x {height} pixels more"))?);
    Ok(pixels)
}

impl Serialize for Embedding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.to_le_bytes()))
    }
}

impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).map_err(|error| de::Error::custom(format!("vector: {error}")))?;
        Self::from_exact_le_bytes(&bytes).map_err(de::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    width: u32,
    height: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<ImageHash>,
    perceptual: PerceptualHash,
    /// RGB, compressed by zstd, in base64.
    rgb: String,
}

impl Packed {
    fn of(picture: &Picture) -> Result<Self, String> {
        let raster = &picture.raster;
        take_room(raster.width(), raster.height())?;
        let rgb =
            zstd::bulk::compress(raster.rgb(), COMPRESSION).map_err(|error| format!("picture: {error}"))?;
        Ok(Self {
            width: raster.width(),
            height: raster.height(),
            sha256: picture.hash,
            perceptual: picture.perceptual,
            rgb: BASE64.encode(rgb),
        })
    }

    fn unpack(self) -> Result<Picture, String> {
        let (width, height) = (self.width, self.height);
        let pixels = take_room(width, height)?;
        let packed = BASE64.decode(self.rgb).map_err(|error| format!("picture: {error}"))?;
        let rgb = zstd::bulk::decompress(&packed, pixels as usize * 3)
            .map_err(|error| format!("picture: {error}"))?;
        let bytes = rgb.len();
        let raster = Raster::new(width, height, rgb)
            .ok_or_else(|| format!("picture: {bytes} bytes are not {width} x {height} pixels"))?;
        Ok(Picture { hash: self.sha256, perceptual: self.perceptual, raster })
    }
}

impl Serialize for Picture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Packed::of(self).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Picture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Packed::deserialize(deserializer)?.unpack().map_err(de::Error::custom)
    }
}

/// `#[serde(with = "packed::shared")]` for something behind an `Arc`.
pub(crate) mod shared {
    use std::sync::Arc;

    use super::*;

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        it: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        it.as_ref().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

/// For pictures with their place in a request.
pub(crate) mod uploads {
    use std::sync::Arc;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        uploads: &[(u32, Arc<Picture>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(uploads.iter().map(|(place, picture)| (place, picture.as_ref())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(u32, Arc<Picture>)>, D::Error> {
        let uploads = Vec::<(u32, Picture)>::deserialize(deserializer)?;
        Ok(uploads.into_iter().map(|(place, picture)| (place, Arc::new(picture))).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn picture(width: u32, rgb: Vec<u8>) -> Picture {
        let height = rgb.len() as u32 / 3 / width;
        let raster = Raster::new(width, height, rgb).unwrap();
        Picture { hash: Some(ImageHash::of(b"file")), perceptual: PerceptualHash(0xfeed), raster }
    }

    fn read(written: Value) -> Result<Picture, String> {
        with_room(1000, || serde_json::from_value(written).map_err(|error| error.to_string()))
    }

    proptest! {
        #[test]
        fn a_picture_survives_with_every_pixel(width in 1_u32..9, rows in prop::collection::vec(any::<[u8; 24]>(), 1..9)) {
            let rgb = rows.iter().flat_map(|row| &row[..width as usize * 3]).copied().collect();
            let picture = picture(width, rgb);
            let written = with_room(1000, || serde_json::to_value(&picture)).unwrap();
            prop_assert_eq!(read(written).unwrap(), picture);
        }

        #[test]
        fn a_vector_survives_bit_for_bit(values in prop::collection::vec(-1.0_f32..1.0, 3..40)) {
            prop_assume!(values.iter().any(|value| value.abs() > 1e-3));
            let vector = Embedding::normalised(values.clone(), values.len()).unwrap();
            let back: Embedding = serde_json::from_value(serde_json::to_value(&vector).unwrap()).unwrap();
            prop_assert_eq!(back.to_le_bytes(), vector.to_le_bytes());
        }
    }

    fn zeros(bytes: usize) -> String {
        BASE64.encode(zstd::bulk::compress(&vec![0; bytes], 19).unwrap())
    }

    #[rstest::rstest]
    #[case::no_base64(json!({"rgb": "a_b"}), "Invalid symbol")]
    #[case::cut_base64(json!({"rgb": &zeros(12)[..7]}), "padding")]
    #[case::no_zstd(json!({"rgb": "AAAA"}), "picture: ")]
    #[case::bomb(json!({"rgb": zeros(100_000_000)}), "too small")]
    #[case::too_few_pixels(json!({"rgb": zeros(9)}), "9 bytes are not 2 x 2 pixels")]
    #[case::no_side(json!({"width": 0, "rgb": zeros(0)}), "0 bytes are not")]
    #[case::no_room(json!({"width": 4_000_000_000_u32, "height": 4_000_000_000_u32}), "room")]
    #[case::unknown(json!({"colours": 3}), "unknown field `colours`")]
    #[case::hash(json!({"sha256": "AA"}), "image hash")]
    #[case::look(json!({"perceptual": "x"}), "invalid digit")]
    fn a_picture_that_cannot_be_is_refused(#[case] spoil: Value, #[case] says: &str) {
        let mut written = json!({"width": 2, "height": 2, "perceptual": "0", "rgb": zeros(12)});
        assert!(read(written.clone()).is_ok());
        written.as_object_mut().unwrap().extend(spoil.as_object().unwrap().clone());
        let error = read(written).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn pictures_share_their_room_and_there_is_none_outside() {
        let pictures = [(); 2].map(|()| picture(1, vec![1; 30]));
        let write = |room| with_room(room, || serde_json::to_value(&pictures));
        let written = write(20).unwrap();
        let read = |room| with_room(room, || serde_json::from_value::<Vec<Picture>>(written.clone()));
        assert!(read(20).is_ok());
        assert!(read(19).is_err() && write(19).is_err());
        assert!(serde_json::to_value(&pictures).is_err());
        assert!(serde_json::from_value::<Vec<Picture>>(written.clone()).is_err());
    }

    #[rstest::rstest]
    #[case::cut("AACAPw=")]
    #[case::not_unit("AAAAQA==")]
    #[case::nan("AADAfw==")]
    #[case::three_bytes("AACA")]
    fn a_vector_that_cannot_be_is_refused(#[case] written: &str) {
        assert!(serde_json::from_value::<Embedding>(json!(written)).is_err());
        assert!(serde_json::from_value::<Embedding>(json!("AACAPw==")).is_ok());
    }
}
