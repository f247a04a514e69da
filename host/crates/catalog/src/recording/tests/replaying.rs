//! What a tape took down, a replay gives back.

use std::path::Path;

use async_trait::async_trait;

use super::*;
use crate::{
    fakes::{FakeEmbedder, InMemoryIndex, InMemoryStore},
    id::TenantId,
    port::{Embedder, PortError, PortResult, VectorIndex, VectorRow, VideoDecoder},
    retrieval::{Catalogue, Retrieval},
};

/// Each video is one plain frame of another brightness.
struct Videos;

#[async_trait]
impl VideoDecoder for Videos {
    async fn probe(&self, _: &Path) -> Result<VideoInfo, MediaError> {
        Err(MediaError::Empty)
    }

    async fn frames(&self, video: &VideoFile, plan: FramePlan) -> Result<Vec<Frame>, MediaError> {
        match plan {
            FramePlan::Uniform { .. } if video.path.ends_with("a") => {
                Ok(vec![Frame { timestamp_ms: 1, picture: picture(1) }])
            }
            FramePlan::Uniform { .. } => Ok(vec![Frame { timestamp_ms: 2, picture: picture(2) }]),
            FramePlan::SceneChange { .. } => Err(MediaError::Corrupt("no scenes".into())),
        }
    }
}

/// The host as one policy call sees it.
struct Host {
    catalogue: Arc<dyn Catalogue>,
    embedder: Arc<dyn Embedder>,
    video: Arc<dyn VideoDecoder>,
    tenant: TenantId,
}

impl Host {
    fn replayed(replay: &Arc<Replay>) -> Self {
        let (catalogue, embedder, video) = (replay.clone(), replay.clone(), replay.clone());
        Self { catalogue, embedder, video, tenant: "shop".parse().unwrap() }
    }

    async fn keyword(&self, text: &str) -> PortResult<Vec<(ProductId, f32)>> {
        self.catalogue.keyword(&self.tenant, text, &Filter::everything(), 3).await
    }

    async fn texts(&self, text: &str) -> PortResult<Vec<Embedding>> {
        self.embedder.texts(&self.tenant, &[text.into()]).await
    }

    async fn frames(&self, path: &str, plan: FramePlan) -> Result<Vec<Frame>, MediaError> {
        let Content::Video(file) = video(path) else { unreachable!() };
        self.video.frames(&file, plan).await
    }

    /// All it says to one question of each kind, in words.
    async fn everything(&self, backwards: bool, paths: [&str; 2]) -> Vec<String> {
        let (tenant, filter) = (&self.tenant, &Filter::everything());
        let image = Arc::new(picture(1));
        let frame = FramePlan::Uniform { frames: 1 };
        let scene = FramePlan::SceneChange { threshold: 0.5, max_frames: 1 };
        let mut said = Vec::new();
        for n in if backwards { [8, 7, 6, 5, 4, 3, 2, 1, 0] } else { [0, 1, 2, 3, 4, 5, 6, 7, 8] } {
            said.push(match n {
                0 => format!("{:?}", self.texts("red").await),
                1 => format!("{:?}", self.embedder.images(tenant, std::slice::from_ref(&image)).await),
                2 => {
                    let query = self.embedder.images(tenant, std::slice::from_ref(&image)).await.unwrap();
                    format!("{:?}", self.catalogue.nearest(tenant, &query, filter, 9).await)
                }
                3 => format!("{:?}", self.keyword("shoe").await),
                4 => format!("{:?}", self.catalogue.matching(tenant, filter, 9).await),
                5 => format!("{:?}", self.catalogue.image_by_hash(tenant, &ImageHash::of(b"x")).await),
                6 => format!("{:?}", self.catalogue.near_duplicates(tenant, PerceptualHash(1), 64, 9).await),
                7 => format!(
                    "{:?} {:?}",
                    self.frames(paths[0], frame).await,
                    self.frames(paths[1], frame).await
                ),
                _ => format!("{:?}", self.frames(paths[0], scene).await),
            });
        }
        if backwards {
            said.reverse();
        }
        said
    }
}

struct Shop {
    tape: Arc<Tape>,
    embedder: Arc<FakeEmbedder>,
    index: Arc<InMemoryIndex>,
}

impl Shop {
    async fn open(tape: Tape) -> Self {
        let embedder = Arc::new(FakeEmbedder::default());
        let index = Arc::new(InMemoryIndex::new(embedder.space().dimension));
        let (tenant, product): (TenantId, _) = ("shop".parse().unwrap(), "shoe".parse().unwrap());
        let embedding = embedder.images(&tenant, &[Arc::new(picture(9))]).await.unwrap().remove(0);
        index
            .insert(vec![VectorRow { tenant, product, image: ImageHash::of(b"shoe"), embedding }])
            .await
            .unwrap();
        Self { tape: Arc::new(tape), embedder, index }
    }

    fn begin(&self, name: &str) -> (CallTape, Host) {
        let parts = vec![part("video", video("/tmp/a")), part("video", video("/tmp/b"))];
        let input = Input::Search { parts, limit: 9 };
        let tape = self.tape.for_call(plugin(name), json!({}), Filter::everything(), input);
        let catalogue = Retrieval::new(Arc::new(InMemoryStore::default()), self.index.clone());
        let host = Host {
            catalogue: tape.catalogue(Arc::new(catalogue)),
            embedder: tape.embedder(self.embedder.clone()),
            video: tape.video(Arc::new(Videos)),
            tenant: "shop".parse().unwrap(),
        };
        (tape, host)
    }

    /// What is on the tape, after it was written and read.
    fn recorded(&self) -> Recording {
        there_and_back(&self.tape.recording("shop".parse().unwrap(), Timestamp::UNIX_EPOCH).unwrap())
    }

    fn replay(&self) -> Arc<Replay> {
        Replay::of(&self.recorded().calls[0])
    }
}

fn nothing() -> Answer {
    Answer::Legs(Vec::new())
}

#[tokio::test]
async fn the_host_says_the_same_offline_in_any_order_and_twice() {
    let shop = Shop::open(Tape::default()).await;
    let (tape, host) = shop.begin("p");
    let live = host.everything(false, ["/tmp/a", "/tmp/b"]).await;
    assert!(live[2].contains("shoe") && live[7].contains("timestamp_ms: 2"), "{live:?}");
    tape.finish(nothing());
    let replay = shop.replay();
    assert_eq!(replay.space(), shop.embedder.space());
    for backwards in [true, false, true] {
        let paths = ["recorded-video-0", "recorded-video-1"];
        assert_eq!(Host::replayed(&replay).everything(backwards, paths).await, live);
    }
    assert_eq!(replay.missing(), [""; 0]);
    assert!(!replay.job().cancelled());
}

#[tokio::test]
async fn a_question_whose_answer_changed_gets_the_answers_in_their_order() {
    let shop = Shop::open(Tape::default()).await;
    let (tape, host) = shop.begin("p");
    shop.embedder.fail_next(PortErrorKind::Unavailable);
    assert!(host.texts("red").await.is_err());
    assert!(host.texts("red").await.is_ok());
    tape.finish(nothing());
    let replayed = Host::replayed(&shop.replay());
    assert!(replayed.texts("red").await.is_err());
    assert!(replayed.texts("red").await.is_ok());
    assert!(replayed.texts("red").await.is_ok(), "the last answer serves from then on");
}

#[tokio::test]
async fn errors_keep_their_part_kind_and_message() {
    let shop = Shop::open(Tape::default()).await;
    let (tape, host) = shop.begin("p");
    shop.embedder.fail_next(PortErrorKind::Broken);
    host.texts("red").await.unwrap_err();
    host.frames("/tmp/b", FramePlan::SceneChange { threshold: 0.0, max_frames: 1 }).await.unwrap_err();
    tape.finish(nothing());
    let replayed = Host::replayed(&shop.replay());
    let PortError { part, kind, message, .. } = replayed.texts("red").await.unwrap_err();
    assert_eq!((part, kind, message.as_str()), ("model", PortErrorKind::Broken, "told to fail"));
    let scene = FramePlan::SceneChange { threshold: 0.0, max_frames: 1 };
    let error = replayed.frames("recorded-video-1", scene).await.unwrap_err();
    assert_eq!(error, MediaError::Corrupt("no scenes".into()));
}

#[tokio::test]
async fn what_was_not_recorded_is_refused_and_named() {
    let shop = Shop::open(Tape::default()).await;
    let (tape, host) = shop.begin("p");
    host.texts("red").await.unwrap();
    tape.finish(nothing());
    let replay = shop.replay();
    let replayed = Host::replayed(&replay);
    let error = replayed.texts("blue").await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(error.message.contains("holds no answer to this call"), "{error}");
    replayed.keyword("red").await.unwrap_err();
    let frame = FramePlan::Uniform { frames: 1 };
    assert!(matches!(replayed.frames("recorded-video-0", frame).await, Err(MediaError::Failed(_))));
    assert!(matches!(replayed.frames("/elsewhere", frame).await, Err(MediaError::Failed(_))));
    assert!(replayed.video.probe(Path::new("x")).await.is_err());
    assert_eq!(
        replay.missing(),
        [
            r#"{"texts":{"texts":["blue"]}}"#,
            r#"{"keyword":{"text":"red","filter":{"and":[]},"k":3}}"#,
            r#"{"frames":{"video":0,"plan":{"uniform":{"frames":1}}}}"#,
            "frames of a video that is not the input's",
            "probe of x",
        ]
    );
}

#[tokio::test]
async fn an_answer_of_another_type_than_its_question_is_none() {
    let asked = Asked::Texts { texts: vec!["red".into()] };
    let mut recorded = search();
    recorded.host = vec![HostCall { asked, answered: Answered::Products(Vec::new()) }];
    let replay = Replay::of(&recorded);
    Host::replayed(&replay).texts("red").await.unwrap_err();
    assert_eq!(replay.missing().len(), 1);
}

#[tokio::test]
async fn calls_stand_in_the_order_they_began_and_one_that_never_ended_is_left_out() {
    let shop = Shop::open(Tape::default()).await;
    let [(first, _), (second, _), (third, host)] = ["a", "b", "c"].map(|name| shop.begin(name));
    host.texts("red").await.unwrap();
    third.finish(nothing());
    drop(second);
    first.finish(Answer::Fault("trapped".into()));
    let calls = shop.recorded().calls;
    let names: Vec<_> = calls.iter().map(|call| (call.plugin.name.as_str(), call.host.len())).collect();
    assert_eq!(names, [("a", 0), ("c", 1)]);
    assert!(shop.recorded().calls.is_empty(), "the tape was taken out");
}

#[tokio::test]
async fn a_tape_that_is_full_gives_no_recording() {
    let shop = Shop::open(Tape::with_room(1000)).await;
    let (tape, host) = shop.begin("p");
    for _ in 0..9 {
        host.texts("red").await.unwrap();
    }
    tape.finish(nothing());
    let recorded = shop.tape.recording("shop".parse().unwrap(), Timestamp::UNIX_EPOCH);
    assert!(matches!(recorded, Err(RecordingError::TapeFull)));
}

#[test]
fn arguments_that_differ_in_a_bit_or_a_side_have_other_digests() {
    let raster =
        |width, height| ArgumentDigest::of_picture(&Raster::new(width, height, vec![0; 18]).unwrap());
    assert_ne!(raster(3, 2), raster(2, 3));
    assert_ne!(
        ArgumentDigest::of_picture(&picture(1).raster),
        ArgumentDigest::of_picture(&picture(2).raster)
    );
    let zero =
        |sign: f32| ArgumentDigest::of_vector(&Embedding::normalised(vec![1.0, 0.0 * sign], 2).unwrap());
    assert_ne!(zero(1.0), zero(-1.0));
}
