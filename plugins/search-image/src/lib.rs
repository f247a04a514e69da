//! The search policy for pictures: the images that look nearest.

pub mod policy;

use policy::{Settings, leg_name};
use taja_plugin::{
    host::{
        Named,
        embed::{self, Embeddings},
        media::Image,
        types::Region,
    },
    search::{self, Guest, Leg, Measure, Part, Query},
};

/// The component.
pub struct SearchImage;

impl Guest for SearchImage {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let leg = |(at, part): (u32, &_)| leg(at, part, query.limit, &settings);
        (0..).zip(&query.parts).map(leg).collect()
    }
}

fn leg(at: u32, part: &Part, limit: u32, settings: &Settings) -> Result<Leg, String> {
    let picture = part.image().ok_or("the query holds no picture")?;
    let vector = embedded(picture, settings)?;
    let hits = search::nearest(&vector, limit).named("catalogue.nearest")?;
    let weight = settings.vector_weight * part.weight;
    Ok(Leg { name: leg_name(at), part: at, measure: Measure::Cosine, weight, hits })
}

/// One vector: of the picture, or of the picture blended with its centre.
fn embedded(picture: &Image, settings: &Settings) -> Result<Embeddings, String> {
    let embed = |pictures: &[&Image]| embed::images(pictures).named("embed.images");
    let Some(centre) = settings.centre(picture.width(), picture.height()) else {
        return embed(&[picture]);
    };
    let region = Region { x: centre.x, y: centre.y, width: centre.width, height: centre.height };
    let crop = picture.crop(region).named("media.crop")?;
    let both = embed(&[picture, &crop])?;
    let weights = [1.0 - settings.centre_weight, settings.centre_weight];
    both.blend(&weights).named("embed.blend")
}

taja_plugin::search::export!(SearchImage);
