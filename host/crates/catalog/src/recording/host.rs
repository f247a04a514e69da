//! What a policy asked the host during one call, and what the host answered.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::exact;
use crate::{
    embedding::Embedding,
    filter::Filter,
    id::{ArgumentDigest, ImageHash, ProductId},
    picture::{Frame, FramePlan, PerceptualHash, Raster},
    port::{KnownImage, MediaError, Neighbour, PortError, PortErrorKind},
};

/// A question and its answer. The tenant is that of the recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCall {
    /// What the policy asked.
    pub asked: Asked,
    /// What it was told.
    pub answered: Answered,
}

/// A question to the host. Two that are equal can have one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are the arguments of the ports' functions, and named as they are"
)]
pub enum Asked {
    /// [`Catalogue::nearest`](crate::retrieval::Catalogue::nearest)
    Nearest { queries: Vec<ArgumentDigest>, filter: Filter, k: usize },
    /// [`Catalogue::keyword`](crate::retrieval::Catalogue::keyword)
    Keyword { text: String, filter: Filter, k: usize },
    /// [`Catalogue::matching`](crate::retrieval::Catalogue::matching)
    Matching { filter: Filter, k: usize },
    /// [`Catalogue::image_by_hash`](crate::retrieval::Catalogue::image_by_hash)
    ImageByHash { hash: ImageHash },
    /// [`Catalogue::near_duplicates`](crate::retrieval::Catalogue::near_duplicates)
    NearDuplicates { look: PerceptualHash, max_distance: u32, k: usize },
    /// [`Embedder::images`](crate::port::Embedder::images)
    Images { pictures: Vec<ArgumentDigest> },
    /// [`Embedder::texts`](crate::port::Embedder::texts)
    Texts { texts: Vec<String> },
    /// [`VideoDecoder::frames`](crate::port::VideoDecoder::frames); `video` counts those of the input from 0.
    Frames { video: usize, plan: FramePlan },
}

/// An answer of the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// Images, for each query.
    Neighbours(Vec<Vec<Neighbour>>),
    /// Products with their relevance.
    Relevant(#[serde(with = "exact::scored")] Vec<(ProductId, f32)>),
    /// Products.
    Products(Vec<ProductId>),
    /// An image, if there is one.
    Image(Option<KnownImage>),
    /// Images that look alike.
    Images(Vec<KnownImage>),
    /// Vectors.
    Vectors(Vec<Embedding>),
    /// Pictures of a video.
    Frames(Vec<Frame>),
    /// A port failed.
    Refused(Refused),
    /// The video could not be read.
    Unreadable(MediaError),
}

/// A port's error, without its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Which part of Taja.
    pub part: String,
    /// What to do about it.
    pub kind: PortErrorKind,
    /// For people.
    pub message: String,
}

/// The parts that errors come from. An error's part is a static text, which a file cannot give.
const PARTS: [&str; 8] = ["store", "index", "model", "images", "video", "uploads", "queue", "recording"];

impl From<&PortError> for Refused {
    fn from(error: &PortError) -> Self {
        Self { part: error.part.into(), kind: error.kind, message: error.message.clone() }
    }
}

impl From<&Refused> for PortError {
    fn from(refused: &Refused) -> Self {
        let part = PARTS.into_iter().find(|part| *part == refused.part).unwrap_or("host");
        Self::new(part, refused.kind, refused.message.as_str())
    }
}

impl ArgumentDigest {
    /// Of a picture's width, height and pixels.
    pub fn of_picture(raster: &Raster) -> Self {
        let sides = Sha256::new().chain_update(raster.width().to_le_bytes());
        let sides = sides.chain_update(raster.height().to_le_bytes());
        Self::from_digest(sides.chain_update(raster.rgb()).finalize().into())
    }

    /// Of a vector's bits.
    pub fn of_vector(vector: &Embedding) -> Self {
        Self::of(&vector.to_le_bytes())
    }
}

/// A type of answer to some questions.
pub(super) trait HostAnswer: Clone {
    fn pack(&self) -> Answered;
    /// The answer, if it is of this type.
    fn unpack(answered: &Answered) -> Option<Self>;
}

macro_rules! answers {
    ($($variant:ident($type:ty)),* $(,)?) => {$(
        impl HostAnswer for $type {
            fn pack(&self) -> Answered {
                Answered::$variant(self.clone())
            }

            fn unpack(answered: &Answered) -> Option<Self> {
                if let Answered::$variant(answer) = answered { Some(answer.clone()) } else { None }
            }
        }
    )*};
}
answers! {
    Neighbours(Vec<Vec<Neighbour>>),
    Relevant(Vec<(ProductId, f32)>),
    Products(Vec<ProductId>),
    Image(Option<KnownImage>),
    Images(Vec<KnownImage>),
    Vectors(Vec<Embedding>),
    Frames(Vec<Frame>),
}

impl HostCall {
    /// About the bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        /// A row with its identifiers.
        const ROW: usize = 128;
        let asked = self.asked.to_string().len();
        let answered = match &self.answered {
            Answered::Neighbours(lists) => lists.iter().map(Vec::len).sum::<usize>() * ROW,
            Answered::Relevant(rows) => rows.len() * ROW,
            Answered::Products(rows) => rows.len() * ROW,
            Answered::Images(rows) => rows.len() * ROW,
            Answered::Vectors(rows) => rows.iter().map(|row| row.dimension() * 4).sum(),
            Answered::Frames(frames) => frames.iter().map(|frame| frame.picture.raster.rgb().len()).sum(),
            Answered::Image(_) | Answered::Refused(_) | Answered::Unreadable(_) => 0,
        };
        ROW + asked + answered
    }
}

/// As it stands in the recording, where it can be searched for.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
