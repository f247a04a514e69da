//! The search policy for pictures: the images that look nearest.

pub mod policy;

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "taja:plugin/search", generate_all });
}

use bindings::{
    exports::taja::plugin::searching::{Content, Guest, Leg, Measure, Part, Query},
    taja::host::{
        catalogue,
        embed::{self, Embeddings},
        media::Image,
        types::{Error, Region},
    },
};
use policy::{Settings, depth, leg_name};

/// The component.
pub struct SearchImage;

impl Guest for SearchImage {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let leg = |(at, part): (u32, &_)| leg(at, part, depth(query.limit), &settings);
        (0..).zip(&query.parts).map(leg).collect()
    }
}

fn leg(at: u32, part: &Part, depth: u32, settings: &Settings) -> Result<Leg, String> {
    let Content::Image(picture) = &part.content else {
        return Err("the query holds no picture".to_owned());
    };
    let vector = embedded(picture, settings)?;
    let hits =
        catalogue::nearest(&vector, "", depth).map_err(|error| refused("catalogue.nearest", &error))?;
    let weight = settings.vector_weight * part.weight;
    Ok(Leg { name: leg_name(at), part: at, measure: Measure::Cosine, weight, hits })
}

/// One vector: of the picture, or of the picture blended with its centre.
fn embedded(picture: &Image, settings: &Settings) -> Result<Embeddings, String> {
    let embed =
        |pictures: &[&Image]| embed::images(pictures).map_err(|error| refused("embed.images", &error));
    let Some(centre) = settings.centre(picture.width(), picture.height()) else {
        return embed(&[picture]);
    };
    let region = Region { x: centre.x, y: centre.y, width: centre.width, height: centre.height };
    let crop = picture.crop(region).map_err(|error| refused("media.crop", &error))?;
    let both = embed(&[picture, &crop])?;
    let weights = [1.0 - settings.centre_weight, settings.centre_weight];
    both.blend(&weights).map_err(|error| refused("embed.blend", &error))
}

/// What the host refused, and why.
fn refused(call: &str, error: &Error) -> String {
    let (kind, text) = match error {
        Error::Denied(text) => ("denied", text),
        Error::Quota(text) => ("out of quota", text),
        Error::TooLarge(text) => ("too large", text),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Invalid(text) => ("invalid", text),
    };
    format!("{call} was refused ({kind}): {text}")
}

#[cfg(target_arch = "wasm32")]
bindings::export!(SearchImage with_types_in bindings);
