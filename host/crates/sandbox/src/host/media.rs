//! `taja:host/media`: pictures and videos behind handles.

use std::sync::{Arc, OnceLock};

use taja_catalog::{FramePlan, PerceptualHash, Picture, VideoFile};
use wasmtime::component::Resource;

use crate::{
    bindings::host::{
        media::{FramePlan as AskedPlan, Host, HostImage, HostVideo},
        types::Region,
    },
    manifest::Capability,
    refusal::{Answer, Refusal},
    sampling,
    state::{GuestState, Held},
};

/// Frames of one video that the host looks at.
pub(crate) const MAX_FRAMES: u32 = 300;
/// Longest side of what `pixels` gives.
const MAX_PIXELS_SIDE: u32 = 64;
/// A crop above this size is copied off the async threads, bytes.
const LARGE_COPY_BYTES: usize = 1 << 20;

/// A picture behind a handle.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "generated code re-exports it as public")]
pub struct ImageEntry {
    pub(crate) picture: Arc<Picture>,
    /// Where it lies in its video, milliseconds.
    pub(crate) at_ms: Option<u32>,
    /// Computed when asked for, for a picture that was not decoded from an upload.
    look: Arc<OnceLock<PerceptualHash>>,
    held: usize,
}

/// A video behind a handle.
#[expect(unreachable_pub, reason = "generated code re-exports it as public")]
pub struct VideoEntry(Arc<VideoFile>);

impl ImageEntry {
    /// A picture of the request: the host holds it anyway.
    pub(crate) fn of_request(picture: Arc<Picture>) -> Self {
        let look = Arc::new(OnceLock::from(picture.perceptual));
        Self { picture, at_ms: None, look, held: 0 }
    }

    fn of_frame(picture: Picture, at_ms: u32) -> Self {
        let look = Arc::new(OnceLock::from(picture.perceptual));
        Self { held: picture.raster.rgb().len(), picture: Arc::new(picture), at_ms: Some(at_ms), look }
    }

    fn of_crop(picture: Picture, at_ms: Option<u32>) -> Self {
        Self { held: picture.raster.rgb().len(), picture: Arc::new(picture), at_ms, look: Arc::default() }
    }

    /// How the picture looks.
    pub(crate) fn look(&self) -> PerceptualHash {
        *self.look.get_or_init(|| PerceptualHash::of(&self.picture.raster))
    }
}

impl VideoEntry {
    pub(crate) fn new(file: Arc<VideoFile>) -> Self {
        Self(file)
    }
}

impl Held for ImageEntry {
    fn held_bytes(&self) -> usize {
        self.held
    }
}

impl Held for VideoEntry {
    fn held_bytes(&self) -> usize {
        0
    }
}

impl Host for GuestState {}

impl HostImage for GuestState {
    async fn width(&mut self, image: Resource<ImageEntry>) -> wasmtime::Result<u32> {
        Ok(self.known(&image)?.picture.raster.width())
    }

    async fn height(&mut self, image: Resource<ImageEntry>) -> wasmtime::Result<u32> {
        Ok(self.known(&image)?.picture.raster.height())
    }

    async fn sha256(&mut self, image: Resource<ImageEntry>) -> wasmtime::Result<String> {
        Ok(self.known(&image)?.picture.hash.map(|hash| hash.to_string()).unwrap_or_default())
    }

    async fn perceptual_hash(&mut self, image: Resource<ImageEntry>) -> wasmtime::Result<String> {
        Ok(self.known(&image)?.look().to_string())
    }

    async fn timestamp_ms(&mut self, image: Resource<ImageEntry>) -> wasmtime::Result<Option<u32>> {
        Ok(self.known(&image)?.at_ms)
    }

    async fn crop(&mut self, image: Resource<ImageEntry>, region: Region) -> Answer<Resource<ImageEntry>> {
        let call = self.begin(Capability::Media, "crop", 0)?;
        let entry = self.get(&image)?.clone();
        let bytes = (region.width as usize).saturating_mul(region.height as usize).saturating_mul(3);
        if bytes > entry.picture.raster.rgb().len() {
            return Err(outside(&region));
        }
        self.room_for(bytes)?;
        let picture = Arc::clone(&entry.picture);
        let cut = move || picture.raster.crop(region.x, region.y, region.width, region.height);
        let raster = if bytes <= LARGE_COPY_BYTES {
            cut()
        } else {
            let copy = async { tokio::task::spawn_blocking(cut).await.map_err(Refusal::broken) };
            call.wait(copy).await?
        };
        let raster = raster.ok_or_else(|| outside(&region))?;
        let picture = Picture { hash: None, perceptual: PerceptualHash(0), raster };
        self.give(ImageEntry::of_crop(picture, entry.at_ms))
    }

    async fn pixels(&mut self, image: Resource<ImageEntry>, width: u32, height: u32) -> Answer<Vec<u8>> {
        let call = self.begin(Capability::Media, "pixels", 0)?;
        if !(1..=MAX_PIXELS_SIDE).contains(&width) || !(1..=MAX_PIXELS_SIDE).contains(&height) {
            return Err(Refusal::invalid(format!(
                "{width} x {height} pixels: each side is 1 to {MAX_PIXELS_SIDE}"
            )));
        }
        let pixels = sampling::shrink(&self.get(&image)?.picture.raster, width, height);
        call.carry(pixels.len());
        Ok(pixels)
    }

    async fn drop(&mut self, image: Resource<ImageEntry>) -> wasmtime::Result<()> {
        self.forget(image)
    }
}

impl HostVideo for GuestState {
    async fn duration_ms(&mut self, video: Resource<VideoEntry>) -> wasmtime::Result<u32> {
        Ok(self.known(&video)?.0.info.duration_ms)
    }

    async fn width(&mut self, video: Resource<VideoEntry>) -> wasmtime::Result<u32> {
        Ok(self.known(&video)?.0.info.width)
    }

    async fn height(&mut self, video: Resource<VideoEntry>) -> wasmtime::Result<u32> {
        Ok(self.known(&video)?.0.info.height)
    }

    async fn frames(
        &mut self,
        video: Resource<VideoEntry>,
        plan: AskedPlan,
    ) -> Answer<Vec<Resource<ImageEntry>>> {
        let call = self.begin(Capability::Media, "frames", 0)?;
        let plan = checked(&plan)?;
        let file = Arc::clone(&self.get(&video)?.0);
        let frames = self.ports.video.frames(&file, plan);
        let frames = call.wait(frames).await?;
        let entry = |frame: taja_catalog::Frame| ImageEntry::of_frame(frame.picture, frame.timestamp_ms);
        self.give_all(frames.into_iter().take(MAX_FRAMES as usize).map(entry).collect())
    }

    async fn drop(&mut self, video: Resource<VideoEntry>) -> wasmtime::Result<()> {
        self.forget(video)
    }
}

impl GuestState {
    /// What is behind a handle, for accessors, which have no way to refuse.
    pub(crate) fn known<T: Held>(&self, handle: &Resource<T>) -> wasmtime::Result<&T> {
        self.get(handle).map_err(Refusal::into_error)
    }

    /// The guest lets a handle go.
    pub(crate) fn forget<T: Held>(&mut self, handle: Resource<T>) -> wasmtime::Result<()> {
        self.take(handle).map(drop).map_err(Refusal::into_error)
    }
}

fn outside(region: &Region) -> Refusal {
    let Region { x, y, width, height } = region;
    Refusal::invalid(format!("region {width} x {height} at {x}, {y} is empty or reaches outside the picture"))
}

fn checked(plan: &AskedPlan) -> Answer<FramePlan> {
    let (frames, plan) = match plan {
        AskedPlan::Uniform(frames) => (*frames, FramePlan::Uniform { frames: *frames }),
        AskedPlan::SceneChange(scene) => {
            if !(0.0..=1.0).contains(&scene.threshold) {
                return Err(Refusal::invalid("a scene threshold lies between 0 and 1"));
            }
            let plan = FramePlan::SceneChange { threshold: scene.threshold, max_frames: scene.max_frames };
            (scene.max_frames, plan)
        }
    };
    match frames {
        0 => Err(Refusal::invalid("a plan takes at least one frame")),
        1..=MAX_FRAMES => Ok(plan),
        _ => Err(Refusal::too_large(format!(
            "{frames} frames are more than the {MAX_FRAMES} the host looks at"
        ))),
    }
}
