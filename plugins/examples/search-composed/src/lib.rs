//! A search policy for pictures and words together: their vectors are blended, so that "like this but red" is one
//! question. Pictures alone and words alone are answered as by the policies for these, and so are parts that cancel each other
//! out.

pub mod blend;
pub mod settings;

use blend::Row;
use settings::Settings;
use taja_plugin::{
    host::{
        Named, catalogue,
        embed::{self, Embeddings},
        media::Image,
        types::Error,
    },
    search::{self, Guest, Leg, Measure, Part, Query, depth, leg_name},
};

/// The component.
pub struct SearchComposed;

impl Guest for SearchComposed {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let request = Request::of(&query.parts, query.limit)?;
        let is_composed = !request.images.is_empty() && !request.texts.is_empty();
        // What is only to be unlike something has no vector to begin from.
        let first = query.parts.iter().position(|part| part.weight > 0.0).filter(|_| is_composed);
        if let Some(first) = first
            && let Some(leg) = request.composed(first as u32, &settings)?
        {
            return Ok(vec![leg]);
        }
        Ok(request.images(&settings)?.into_iter().chain(request.texts(&settings)?).collect())
    }
}

/// A part of the request of one kind.
struct Asked<T> {
    /// Its place in the request.
    part: u32,
    weight: f32,
    content: T,
}

/// The parts of a request by kind.
struct Request<'a> {
    images: Vec<Asked<&'a Image>>,
    texts: Vec<Asked<&'a str>>,
    limit: u32,
}

impl<'a> Request<'a> {
    fn of(parts: &'a [Part], limit: u32) -> Result<Self, String> {
        let mut request = Self { images: Vec::new(), texts: Vec::new(), limit };
        for (part, given) in (0..).zip(parts) {
            let weight = given.weight;
            if let Some(content) = given.image() {
                request.images.push(Asked { part, weight, content });
            } else {
                let text = given.text().ok_or("the query holds neither a picture nor words")?.trim();
                if text.is_empty() {
                    return Err("the text of the query is empty".to_owned());
                }
                request.texts.push(Asked { part, weight, content: text });
            }
        }
        Ok(request)
    }

    /// The one leg of pictures and words together, unless they cancel each other out. `first` is the first part that the
    /// results should be like.
    fn composed(&self, first: u32, settings: &Settings) -> Result<Option<Leg>, String> {
        let rows = self.images.iter().map(|image| Row::Image(image.weight));
        let rows: Vec<_> = rows.chain(self.texts.iter().map(|text| Row::Text(text.weight))).collect();
        let mut texts: Vec<_> = self.texts.iter().map(|text| text.content.to_owned()).collect();
        texts.extend(settings.neutral.clone());
        let images: Vec<_> = self.images.iter().map(|image| image.content).collect();
        let pictures = embed::images(&images).named("embed.images")?;
        let words = embed::texts(&texts).named("embed.texts")?;
        let all = pictures.concat(&words).named("embed.concat")?;
        let vector = match all.blend(&blend::weights(&rows, settings)) {
            // There is a weight for each row, so what is left to be wrong is that nothing remains of them.
            Err(Error::Invalid(_)) => return Ok(None),
            blended => blended.named("embed.blend")?,
        };
        self.vector_leg("composed-vector".to_owned(), first, settings.vector_weight, &vector).map(Some)
    }

    /// A leg for each picture.
    fn images(&self, settings: &Settings) -> Result<Vec<Leg>, String> {
        let leg = |image: &Asked<&Image>| {
            let vector = embed::images(&[image.content]).named("embed.images")?;
            let name = leg_name("image-vector", image.part);
            self.vector_leg(name, image.part, settings.vector_weight * image.weight, &vector)
        };
        self.images.iter().map(leg).collect()
    }

    /// Two legs for each text: the nearest images by meaning, and products by keywords.
    fn texts(&self, settings: &Settings) -> Result<Vec<Leg>, String> {
        let mut legs = Vec::with_capacity(self.texts.len() * 2);
        for text in &self.texts {
            let weight = settings.words_weight * text.weight;
            let vector = embed::texts(&[text.content.to_owned()]).named("embed.texts")?;
            legs.push(self.vector_leg(leg_name("text-vector", text.part), text.part, weight, &vector)?);
            let hits = catalogue::keyword(text.content, "", depth(self.limit)).named("catalogue.keyword")?;
            let name = leg_name("text-keyword", text.part);
            legs.push(Leg { name, part: text.part, measure: Measure::Relevance, weight, hits });
        }
        Ok(legs)
    }

    fn vector_leg(&self, name: String, part: u32, weight: f32, vector: &Embeddings) -> Result<Leg, String> {
        let hits = search::nearest(vector, self.limit).named("catalogue.nearest")?;
        Ok(Leg { name, part, measure: Measure::Cosine, weight, hits })
    }
}

taja_plugin::search::export!(SearchComposed);
