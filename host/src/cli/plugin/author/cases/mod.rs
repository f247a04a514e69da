//! Cases: what a plugin is given, what its shop holds, and what it must answer.

mod expect;
mod shop;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Map, Value};
use taja_catalog::{
    Filter, ImageHash,
    fakes::RecordingJob,
    policy::{Columns, Content, Hit, Leg, Measure, Part, PolicyFault, Submission},
    recording::{Answer, Input, Recording},
    search,
};
use taja_media::Media;
use taja_sandbox::{Called, Host, Kind, Manifest, Player, Subject, plain_order};

use self::{
    expect::{IngestExpected, RankExpected, SearchExpected},
    shop::{HostFaults, Products, Shop, Source},
};

/// A case that was written down by a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case<Q, E> {
    /// What it claims.
    #[serde(default)]
    about: String,
    /// The plugin's settings.
    #[serde(default = "no_settings")]
    settings: Value,
    /// What the shop holds, by product.
    #[serde(default)]
    products: Products,
    /// What is asked of the plugin.
    #[serde(flatten)]
    question: Q,
    /// What it must answer.
    expect: E,
}

fn no_settings() -> Value {
    Value::Object(Map::new())
}

#[derive(Deserialize)]
struct RankQuestion {
    legs: Vec<LegGiven>,
    #[serde(default = "default_limit")]
    limit: u32,
    #[serde(default = "default_day")]
    day: u32,
}

#[derive(Deserialize)]
struct SearchQuestion {
    parts: Vec<PartGiven>,
    #[serde(default)]
    filter: Value,
    #[serde(default)]
    host: HostFaults,
    #[serde(default = "default_limit")]
    limit: u32,
}

#[derive(Deserialize)]
struct IngestQuestion {
    #[serde(default)]
    details: Map<String, Value>,
    #[serde(default)]
    pictures: Vec<Source>,
    #[serde(default)]
    host: HostFaults,
}

/// The day of a search unless a case says otherwise: 2026-01-01, in days since 1970.
pub const DAY: u32 = 20_454;

fn default_day() -> u32 {
    DAY
}

fn default_limit() -> u32 {
    search::RESULT_SET
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LegGiven {
    name: String,
    #[serde(default = "text")]
    modality: String,
    #[serde(default = "cosine")]
    measure: Measure,
    #[serde(default = "one")]
    weight: f32,
    hits: Vec<HitGiven>,
}

fn text() -> String {
    "text".into()
}

fn cosine() -> Measure {
    Measure::Cosine
}

fn one() -> f32 {
    1.0
}

/// `["lamp", 0.31]`, or with the name of a picture `["lamp", 0.31, "lamp-1"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum HitGiven {
    Product(String, f32),
    Picture(String, f32, String),
}

#[derive(Deserialize)]
struct PartGiven {
    modality: String,
    #[serde(default = "one")]
    weight: f32,
    #[serde(flatten)]
    source: Source,
}

/// What a case came to.
pub struct Verdict {
    /// What the case claims.
    pub about: String,
    /// What is not as expected; nothing when the case passed.
    pub wrong: Vec<String>,
    /// For people: what the plugin did.
    pub shown: Vec<String>,
    /// What the call used; none when it never ran.
    pub stats: Option<taja_sandbox::CallStats>,
}

/// A case, ready to be asked as often as wanted.
pub struct Prepared {
    about: String,
    settings: Value,
    input: Input,
    filter: Filter,
    faults: HostFaults,
    shop: Shop,
    expected: Expected,
}

enum Expected {
    /// With the numbers of the products.
    Rank(RankExpected, Vec<String>),
    Search(SearchExpected),
    Ingest(IngestExpected),
    Nothing,
}

/// Recorded cases end so; all others are written by hand.
const RECORDED: &str = ".recording.json";

/// The case files of a folder, sorted; only those whose name holds one of the texts in `only`, when there are any.
pub fn files(folder: &Path, only: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("there are no cases in {}", folder.display()))?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wanted = |path: &PathBuf| {
        let name = name(path);
        name.ends_with(".json") && (only.is_empty() || only.iter().any(|text| name.contains(text.as_str())))
    };
    let mut cases: Vec<_> = paths.into_iter().filter(wanted).collect();
    cases.sort();
    if cases.is_empty() {
        bail!("there are no cases in {}: they are files that end in .json", folder.display());
    }
    Ok(cases)
}

/// Runs the case of a file; the error says why it cannot be run at all.
pub async fn run(
    file: &Path,
    player: &Player,
    subject: &Subject,
    media: &Arc<Media>,
) -> anyhow::Result<Verdict> {
    let text = std::fs::read(file)?;
    if file.to_string_lossy().ends_with(RECORDED) {
        return replay(&text, player, subject).await;
    }
    let prepared = Prepared::read(&text, file, subject.manifest(), media).await?;
    let (answer, stats) = prepared.ask(player, subject, media).await?;
    let (wrong, shown) = prepared.judge(answer.as_ref().map_err(|error| &error.fault));
    Ok(Verdict { about: prepared.about, wrong, shown, stats })
}

/// Plays the calls of this plugin that a recording holds.
async fn replay(text: &[u8], player: &Player, subject: &Subject) -> anyhow::Result<Verdict> {
    let recording = Recording::from_json(text)?;
    let name = &subject.manifest().name;
    let calls: Vec<_> = recording.calls.iter().filter(|call| call.plugin.name == *name).collect();
    if calls.is_empty() {
        bail!("the recording holds no call of {name}");
    }
    let mut wrong = Vec::new();
    for (place, call) in (1..).zip(&calls) {
        let played = player.play(subject, call, None).await.map_err(anyhow::Error::msg)?;
        wrong.extend(
            played
                .missing
                .iter()
                .map(|missing| format!("call {place} asks for what was not recorded: {missing}")),
        );
        if !played.diff.identical {
            wrong.push(format!("call {place} is answered otherwise than recorded:\n{}", played.diff));
        }
    }
    let about = format!("answers {} recorded calls as it did", calls.len());
    Ok(Verdict { about, wrong, shown: Vec::new(), stats: None })
}

impl Prepared {
    /// Reads a case for a plugin of this manifest.
    pub async fn read(
        text: &[u8],
        file: &Path,
        manifest: &Manifest,
        media: &Arc<Media>,
    ) -> anyhow::Result<Self> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let known = |fields: &[&str]| only_known(text, fields);
        match manifest.kind {
            Kind::Rank => {
                known(&["legs", "limit", "day"])?;
                Self::rank(serde_json::from_slice(text)?, manifest, folder, media).await
            }
            Kind::Search => {
                known(&["parts", "filter", "host", "limit"])?;
                Self::search(serde_json::from_slice(text)?, folder, media).await
            }
            Kind::Ingest => {
                known(&["details", "pictures", "host"])?;
                Self::ingest(serde_json::from_slice(text)?, folder, media).await
            }
        }
    }

    async fn rank(
        case: Case<RankQuestion, RankExpected>,
        manifest: &Manifest,
        folder: &Path,
        media: &Arc<Media>,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(&case.products, folder, media).await?;
        let RankQuestion { legs, limit, day } = case.question;
        let legs: Vec<Leg> = legs.into_iter().map(LegGiven::leg).collect::<anyhow::Result<_>>()?;
        let mut known = HashMap::new();
        for hit in legs.iter().flat_map(|leg| &leg.hits) {
            let product = shop.product(&hit.product).with_context(|| {
                format!("the hit {:?} is of no product of the case", hit.product.as_str())
            })?;
            known.insert(hit.product.clone(), product.clone());
        }
        let columns = Columns::from(&manifest.columns);
        let (numbers, mut candidates) = search::candidates(&legs, &known, &columns);
        (candidates.limit, candidates.day) = (limit, day);
        let names = numbers.iter().map(|id| id.as_str().to_owned()).collect();
        Ok(Self {
            about: case.about,
            settings: case.settings,
            input: Input::Rank(candidates),
            filter: Filter::everything(),
            faults: HostFaults::default(),
            shop,
            expected: Expected::Rank(case.expect, names),
        })
    }

    async fn search(
        case: Case<SearchQuestion, SearchExpected>,
        folder: &Path,
        media: &Arc<Media>,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(&case.products, folder, media).await?;
        let SearchQuestion { parts: given, filter, host, limit } = case.question;
        let mut parts = Vec::new();
        for part in given {
            let content: Content = part.source.content(folder, media).await?;
            parts.push(Part { modality: part.modality, content, weight: part.weight });
        }
        let filter = if filter.is_null() { Filter::everything() } else { Filter::parse(&filter)? };
        Ok(Self {
            about: case.about,
            settings: case.settings,
            input: Input::Search { parts, limit },
            filter,
            faults: host,
            shop,
            expected: Expected::Search(case.expect),
        })
    }

    async fn ingest(
        case: Case<IngestQuestion, IngestExpected>,
        folder: &Path,
        media: &Arc<Media>,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(&case.products, folder, media).await?;
        let IngestQuestion { details, pictures, host } = case.question;
        let mut uploads = Vec::new();
        for (place, picture) in (0..).zip(&pictures) {
            uploads.push((place, picture.picture(folder, media).await?));
        }
        let details = serde_json::from_value(details.into()).context("details")?;
        Ok(Self {
            about: case.about,
            settings: case.settings,
            input: Input::Ingest(Submission { details, uploads }),
            filter: Filter::everything(),
            faults: host,
            shop,
            expected: Expected::Ingest(case.expect),
        })
    }

    /// Something to ask that expects nothing, of a shop that holds nothing.
    pub fn of(input: Input) -> Self {
        Self {
            about: String::new(),
            settings: no_settings(),
            input,
            filter: Filter::everything(),
            faults: HostFaults::default(),
            shop: Shop::empty(),
            expected: Expected::Nothing,
        }
    }

    /// Asks the plugin.
    pub async fn ask(
        &self,
        player: &Player,
        subject: &Subject,
        media: &Arc<Media>,
    ) -> anyhow::Result<Called<Answer>> {
        let host = Host {
            catalogue: self.shop.catalogue(&self.faults),
            filter: self.filter.clone(),
            embedder: self.shop.embedder(&self.faults),
            video: media.clone(),
            job: Arc::new(RecordingJob::default()),
        };
        player.call(subject, &self.input, host, &self.settings).await.map_err(anyhow::Error::msg)
    }

    /// What is wrong with an answer, and what there is to show of it.
    fn judge(&self, answer: Result<&Answer, &PolicyFault>) -> (Vec<String>, Vec<String>) {
        match &self.expected {
            Expected::Rank(expected, names) => {
                let Input::Rank(candidates) = &self.input else { return Default::default() };
                expected.judge(answer, names, &plain_order(candidates))
            }
            Expected::Search(expected) => expected.judge(answer),
            Expected::Ingest(expected) => expected.judge(answer),
            Expected::Nothing => Default::default(),
        }
    }
}

/// A field that no case has is a mistake: a misspelt expectation would otherwise expect nothing.
fn only_known(text: &[u8], own: &[&str]) -> anyhow::Result<()> {
    let fields: BTreeMap<String, Value> = serde_json::from_slice(text)?;
    let common = ["about", "settings", "products", "expect"];
    let unknown: Vec<_> = fields
        .keys()
        .filter(|field| !common.contains(&field.as_str()) && !own.contains(&field.as_str()))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    bail!("a case of this kind has no field {unknown:?}: it has {}", [&common[..], own].concat().join(", "))
}

impl LegGiven {
    fn leg(self) -> anyhow::Result<Leg> {
        let hit = |given: HitGiven| {
            let (product, score, image) = match given {
                HitGiven::Product(product, score) => (product, score, None),
                HitGiven::Picture(product, score, name) => {
                    (product, score, Some(ImageHash::of(name.as_bytes())))
                }
            };
            anyhow::Ok(Hit { product: product.parse()?, image, score, at_ms: None })
        };
        Ok(Leg {
            name: self.name,
            modality: self.modality,
            measure: self.measure,
            weight: self.weight,
            hits: self.hits.into_iter().map(hit).collect::<anyhow::Result<_>>()?,
        })
    }
}
