//! The parts of a query: which field of a request brings which, how much each counts, and which region of a picture is meant.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
};

use serde::Deserialize;
use serde_json::Value;
use taja_catalog::Region;

use super::super::{
    FieldProblem,
    form::{FileKind, FormFile},
};
use crate::jobs::{StagedContent, StagedPart};

/// Parts of a query, at most.
const MAX_PARTS: usize = 8;
/// Longest query text, characters.
const MAX_QUERY_CHARS: usize = 2000;
/// What a part counts, at most.
const MAX_WEIGHT: f32 = 10.0;
/// Names in an object of weights or of regions, at most: more than there are parts, as each can be named with its place and without.
const MAX_NAMES: usize = 50;

/// What the fields are called that bring parts of one kind: a modality, with `not_` in front of it where the results should
/// be unlike them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartName {
    modality: String,
    against: bool,
}

impl PartName {
    /// Of a field. Words come as `query`, and as `not` those that the results should be unlike; pictures may come as `images`.
    pub fn of(field: &str) -> Self {
        let (bare, against) = match field.strip_prefix("not_") {
            _ if field == "not" => ("query", true),
            Some(bare) => (bare, true),
            None => (field, false),
        };
        let modality = match bare {
            "query" => "text",
            "images" => "image",
            "videos" => "video",
            other => other,
        };
        Self { modality: modality.to_owned(), against }
    }

    /// What its parts are.
    pub fn modality(&self) -> &str {
        &self.modality
    }

    /// The name, and the place among the parts of that name where there is one: `image`, or `image[1]`.
    pub fn with_place(text: &str) -> (Self, Option<usize>) {
        let placed = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        match placed.and_then(|(name, place)| Some((name, place.parse().ok()?))) {
            Some((name, place)) => (Self::of(name), Some(place)),
            None => (Self::of(text), None),
        }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.against { "not_" } else { "" })?;
        f.write_str(&self.modality)
    }
}

/// How much parts count, by their names, or by name and place.
pub type Weights = BTreeMap<String, f32>;

/// Reads an object of weights.
pub fn weights(value: &Value) -> Result<Weights, String> {
    let weights = Weights::deserialize(value).ok();
    let fit = |weights: &Weights| {
        weights.len() <= MAX_NAMES && weights.values().all(|weight| (0.0..=MAX_WEIGHT).contains(weight))
    };
    weights.filter(fit).ok_or_else(|| {
        format!(
            "is not an object of at most {MAX_NAMES} numbers from 0 to {MAX_WEIGHT} by name, such as image or image[1]"
        )
    })
}

/// The regions of pictures that are meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Crops {
    /// Of the only picture.
    Only(Region),
    /// Of several, by their names, or by name and place.
    Named(BTreeMap<String, Region>),
}

impl Crops {
    /// Reads a region, or an object of regions by name.
    pub fn read(value: &Value) -> Result<Self, String> {
        let Value::Object(named) = value else { return region(value).map(Self::Only) };
        if named.len() > MAX_NAMES {
            return Err(format!("has more than {MAX_NAMES} names"));
        }
        let named = named.iter().map(|(name, value)| match region(value) {
            Ok(region) => Ok((name.clone(), region)),
            Err(problem) => Err(format!("{name}: {problem}")),
        });
        named.collect::<Result<_, _>>().map(Self::Named)
    }
}

/// Reads `"x,y,width,height"` or `[x, y, width, height]`.
fn region(value: &Value) -> Result<Region, String> {
    let numbers: Option<Vec<f64>> = match value {
        Value::String(text) => text.split(',').map(|number| number.trim().parse().ok()).collect(),
        Value::Array(numbers) => numbers.iter().map(Value::as_f64).collect(),
        _ => None,
    };
    let region = numbers.and_then(|numbers| Region::new(numbers.try_into().ok()?));
    region.ok_or_else(|| {
        "is not x,y,width,height of a region inside the picture, in shares of its sides from 0 to 1"
            .to_owned()
    })
}

/// The parts of one request, as they are gathered. What is wrong is added to the mistakes of the request.
pub struct Parts<'a> {
    modalities: &'a HashSet<String>,
    named: Vec<(PartName, StagedPart)>,
    /// Fields that were sent, of which an empty one brings no part.
    sent: Vec<PartName>,
    mistakes: &'a mut Vec<FieldProblem>,
}

impl<'a> Parts<'a> {
    /// Begins with the files of a form.
    pub fn new(
        files: Vec<FormFile>,
        modalities: &'a HashSet<String>,
        mistakes: &'a mut Vec<FieldProblem>,
    ) -> Self {
        let mut parts =
            Self { modalities, named: Vec::with_capacity(files.len()), sent: Vec::new(), mistakes };
        for file in files {
            let name = PartName::of(&file.field);
            if !modalities.contains(name.modality()) {
                parts.mistake(&file.field, "is no modality that a plugin accepts");
            }
            parts.add(
                name,
                match file.kind {
                    FileKind::Image => StagedContent::Image(file.hash),
                    FileKind::Video => StagedContent::Video(file.hash),
                },
            );
        }
        parts
    }

    fn mistake(&mut self, field: &str, detail: impl Into<String>) {
        self.mistakes.push(FieldProblem::new(field, detail));
    }

    fn add(&mut self, name: PartName, content: StagedContent) {
        let weight = if name.against { -1.0 } else { 1.0 };
        let part = StagedPart { modality: name.modality.clone(), content, crop: None, weight };
        self.named.push((name, part));
    }

    /// Adds a text, or each text of a list.
    pub fn add_texts(&mut self, field: &str, value: &Value) {
        self.sent.push(PartName::of(field));
        match value {
            Value::Array(texts) if texts.len() > MAX_PARTS => {
                self.mistake(field, format!("has more than {MAX_PARTS} texts"));
            }
            Value::Array(texts) => {
                for (place, text) in texts.iter().enumerate() {
                    self.add_text(field, &format!("{field}/{place}"), text);
                }
            }
            text => self.add_text(field, field, text),
        }
    }

    fn add_text(&mut self, field: &str, pointer: &str, value: &Value) {
        let name = PartName::of(field);
        let text = match value {
            Value::Null => return,
            Value::String(text) if text.trim().is_empty() && name.modality != "text" => return,
            Value::String(text) => text.trim(),
            _ => return self.mistake(pointer, "is not text"),
        };
        if name.modality == "image" || name.modality == "video" {
            return self.mistake(pointer, "is not a file: send it as multipart/form-data");
        }
        if !self.modalities.contains(name.modality()) {
            return self.mistake(pointer, "is neither an option nor a modality that a plugin accepts");
        }
        if text.is_empty() {
            // An empty box beside a picture means nothing; alone it is no query, which is said below.
            return;
        }
        if text.chars().count() > MAX_QUERY_CHARS {
            return self.mistake(pointer, format!("is longer than {MAX_QUERY_CHARS} characters"));
        }
        self.add(name, StagedContent::Text(text.to_owned()));
    }

    /// The parts of a name, or the one at a place of it.
    fn named(&mut self, name: &PartName, place: Option<usize>) -> Vec<&mut StagedPart> {
        let of_name = self.named.iter_mut().filter(|(known, _)| known == name).map(|(_, part)| part);
        match place {
            Some(place) => of_name.skip(place).take(1).collect(),
            None => of_name.collect(),
        }
    }

    /// Weighs the parts: what is said of a place goes before what is said of all of its name. A weight of what the request
    /// has no part of would be lost, and so is a mistake; that of a box that was left empty is none.
    pub fn weigh(&mut self, weights: &Weights) {
        let mut weights: Vec<_> =
            weights.iter().map(|(key, weight)| (PartName::with_place(key), key, weight.abs())).collect();
        weights.sort_by_key(|((_, place), ..)| place.is_some());
        for ((name, place), key, weight) in weights {
            let may_be_none = place.is_none() && self.sent.contains(&name);
            let parts = self.named(&name, place);
            if parts.is_empty() && !may_be_none {
                let there_are = self.names();
                self.mistake(&format!("weights/{key}"), format!("names no part of this search{there_are}"));
                continue;
            }
            for part in parts {
                part.weight = if name.against { -weight } else { weight };
            }
        }
    }

    /// Which names the parts have, for people.
    fn names(&self) -> String {
        let names: BTreeSet<_> = self.named.iter().map(|(name, _)| name.to_string()).collect();
        let names: Vec<_> = names.into_iter().collect();
        if names.is_empty() { String::new() } else { format!(", which has {}", names.join(", ")) }
    }

    /// Cuts the pictures.
    pub fn crop(&mut self, crops: Crops) {
        match crops {
            Crops::Only(region) => {
                let is_picture = |part: &&mut StagedPart| matches!(part.content, StagedContent::Image(_));
                let mut pictures: Vec<_> =
                    self.named.iter_mut().map(|(_, part)| part).filter(is_picture).collect();
                match &mut pictures[..] {
                    [picture] => picture.crop = Some(region),
                    [] => self.mistake("crop", "is of a picture, and there is none"),
                    _ => self.mistake(
                        "crop",
                        "is of one picture, and there are several: name them, such as image[0]",
                    ),
                }
            }
            Crops::Named(named) => {
                for (key, region) in named {
                    let (name, place) = PartName::with_place(&key);
                    let parts = self.named(&name, place);
                    if parts.is_empty()
                        || parts.iter().any(|part| !matches!(part.content, StagedContent::Image(_)))
                    {
                        self.mistake(&format!("crop/{key}"), "names no picture of this search");
                        continue;
                    }
                    parts.into_iter().for_each(|part| part.crop = Some(region));
                }
            }
        }
    }

    /// The parts, if they are a query, or none where there may be none: first those that the results should be like.
    pub fn finish(mut self, may_be_none: bool) -> Vec<StagedPart> {
        if self.named.len() > MAX_PARTS {
            self.mistakes.push(FieldProblem::new("", format!("has more than {MAX_PARTS} parts")));
        }
        let is_missing = self.named.iter().all(|(name, _)| name.against);
        if self.mistakes.is_empty() && is_missing && !(may_be_none && self.named.is_empty()) {
            let missing = if self.named.is_empty() {
                "is missing: send words, a picture or a video, or a filter or an order to browse by"
            } else {
                "is missing: there is only what the results should be unlike"
            };
            self.mistakes.push(FieldProblem::new("query", missing));
        }
        self.named.sort_by_key(|(name, _)| name.against);
        self.named.into_iter().map(|(_, part)| part).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use taja_catalog::{ImageHash, plugins::is_modality_name};

    use super::{super::SearchBody, *};

    /// Fields of words, names of files that are pictures, weights and regions; the pointers of what is wrong, and the parts.
    fn gathered(
        texts: &Value,
        pictures: &[&str],
        weights: &Value,
        crop: &Value,
    ) -> (Vec<String>, Vec<StagedPart>) {
        let modalities = ["text", "image", "barcode"].map(str::to_owned).into();
        let file = |(place, field): (usize, &&str)| FormFile {
            field: (*field).to_owned(),
            hash: ImageHash::of(&[place as u8]),
            kind: FileKind::Image,
        };
        let mut mistakes = Vec::new();
        let files = pictures.iter().enumerate().map(file).collect();
        let mut parts = Parts::new(files, &modalities, &mut mistakes);
        for (field, value) in texts.as_object().unwrap().iter().collect::<BTreeMap<_, _>>() {
            parts.add_texts(field, value);
        }
        parts.weigh(&super::weights(weights).unwrap());
        if !crop.is_null() {
            parts.crop(Crops::read(crop).unwrap());
        }
        let parts = parts.finish(false);
        (mistakes.into_iter().map(|mistake| mistake.pointer).collect(), parts)
    }

    fn weighed(parts: &[StagedPart]) -> Vec<(&str, f32)> {
        parts.iter().map(|part| (part.modality.as_str(), part.weight)).collect()
    }

    #[test]
    fn a_field_that_says_something_else_is_no_name_of_a_modality() {
        let body = serde_json::to_value(<SearchBody as utoipa::PartialSchema>::schema()).unwrap();
        let fields = body["properties"].as_object().unwrap().keys().map(String::as_str);
        for field in fields.chain(["images", "videos"]) {
            assert_eq!(is_modality_name(field), ["image", "video"].contains(&field), "{field}");
        }
        assert!(["text", "barcode", "notes"].into_iter().all(is_modality_name));
    }

    #[test]
    fn several_inputs_of_a_kind_have_weights_by_name_and_by_place() {
        let weights = json!({"image": 2, "image[1]": 0.5, "query[0]": 3});
        let texts = json!({"query": ["red", "", "shoe"]});
        let (mistakes, parts) = gathered(&texts, &["image", "images"], &weights, &Value::Null);
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(weighed(&parts), [("image", 2.0), ("image", 0.5), ("text", 3.0), ("text", 1.0)]);
    }

    #[test]
    fn what_the_results_should_be_unlike_weighs_less_than_nothing() {
        let texts = json!({"query": "jacket", "not": ["leather", "fur"], "not_barcode": "4006"});
        let weights = json!({"not": 2, "not_text[1]": 0, "text": -0.0});
        let (mistakes, parts) = gathered(&texts, &["not_image"], &weights, &Value::Null);
        assert_eq!(mistakes, [""; 0]);
        let against: Vec<_> = parts.iter().map(StagedPart::is_against).collect();
        assert_eq!(against, [false, true, true, true, true]);
        let expected = [("text", 0.0), ("image", -1.0), ("text", -2.0), ("text", 0.0), ("barcode", -1.0)];
        assert_eq!(weighed(&parts), expected);
    }

    #[test]
    fn a_region_is_of_the_only_picture_or_of_those_that_are_named() {
        let half = Region::new([0.0, 0.5, 1.0, 0.5]).unwrap();
        for crop in [json!("0, 0.5, 1, 0.5"), json!([0, 0.5, 1, 0.5]), json!({"image[0]": "0,0.5,1,0.5"})] {
            let (mistakes, parts) = gathered(&json!({"query": "x"}), &["image"], &json!({}), &crop);
            assert_eq!((mistakes.len(), parts[0].crop, parts[1].crop), (0, Some(half), None));
        }
        let crop = json!({"image": [0, 0.5, 1, 0.5]});
        let (_, parts) = gathered(&json!({}), &["image", "image", "not_image"], &json!({}), &crop);
        assert_eq!([parts[0].crop, parts[1].crop, parts[2].crop], [Some(half), Some(half), None]);
    }

    #[test]
    fn what_names_no_part_is_pointed_at() {
        let wrong = |pictures: &[&str], weights: Value, crop: Value| {
            gathered(&json!({"query": "x"}), pictures, &weights, &crop).0
        };
        let region = || json!([0, 0, 1, 1]);
        assert_eq!(wrong(&["image"], json!({"image[1]": 1}), Value::Null), ["/weights/image[1]"]);
        assert_eq!(wrong(&["image"], json!({"imge": 9}), Value::Null), ["/weights/imge"]);
        assert_eq!(wrong(&["not_image"], json!({"image": 9, "text": 2}), Value::Null), ["/weights/image"]);
        assert_eq!(wrong(&[], json!({}), region()), ["/crop"]);
        assert_eq!(wrong(&["image", "image"], json!({}), region()), ["/crop"]);
        assert_eq!(wrong(&["image"], json!({}), json!({"image[1]": region()})), ["/crop/image[1]"]);
        assert_eq!(wrong(&["image"], json!({}), json!({"query": region()})), ["/crop/query"]);
        assert_eq!(wrong(&["smell"], json!({}), Value::Null), ["/smell"]);
        assert_eq!(wrong(&["image"; 8], json!({}), Value::Null), ["/"]);
    }

    #[test]
    fn a_weight_of_no_part_is_told_the_names_that_there_are() {
        let (modalities, mut mistakes) = (["text".to_owned(), "image".to_owned()].into(), Vec::new());
        let mut parts = Parts::new(Vec::new(), &modalities, &mut mistakes);
        parts.add_texts("query", &json!(["red", "shoe"]));
        parts.add_texts("not", &json!("leather"));
        parts.weigh(&super::weights(&json!({"imge": 9})).unwrap());
        assert_eq!(mistakes[0].detail, "names no part of this search, which has not_text, text");
    }

    #[test]
    fn an_empty_box_may_have_a_weight() {
        for texts in [json!({"query": ""}), json!({"query": []}), json!({"query": null})] {
            let (mistakes, parts) = gathered(&texts, &["image"], &json!({"query": 3}), &Value::Null);
            assert_eq!((mistakes, weighed(&parts)), (vec![], vec![("image", 1.0)]), "{texts}");
        }
    }

    #[test]
    fn what_is_only_to_be_unlike_something_is_no_query() {
        let (mistakes, _) = gathered(&json!({"not": "leather"}), &["not_image"], &json!({}), &Value::Null);
        assert_eq!(mistakes, ["/query"]);
        for (texts, pointer) in [(json!(["x", 7]), "/query/1"), (json!(vec![7; 9]), "/query")] {
            assert_eq!(gathered(&json!({"query": texts}), &[], &json!({}), &Value::Null).0, [pointer]);
        }
    }

    #[test]
    fn what_is_no_region_and_no_weight_is_refused() {
        for crop in [
            json!("0,0,1"),
            json!("0,0,1,1,1"),
            json!("a,b,c,d"),
            json!("0,0,nan,1"),
            json!([0, 0, 0, 1]),
            json!([0, 0, 100, 100]),
            json!({"image": true}),
            json!(7),
        ] {
            assert!(Crops::read(&crop).is_err(), "{crop}");
        }
        let many = |value: Value| -> Value { (0..51).map(|n| (n.to_string(), value.clone())).collect() };
        assert!(Crops::read(&many(json!([0, 0, 1, 1]))).is_err());
        assert!(super::weights(&many(json!(1))).is_err());
        for weights in [json!({"image": -1}), json!({"image": 11}), json!({"image": "1"}), json!([1])] {
            assert!(super::weights(&weights).is_err(), "{weights}");
        }
    }
}
