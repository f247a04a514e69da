//! A search policy for a modality the host has never heard of: `barcode`, as digits or as a picture of the bars.

pub mod bars;
pub mod gtin;
pub mod raster;
pub mod scan;
pub mod settings;
pub mod symbol;
pub mod tiles;

use gtin::Gtin;
use raster::Raster;
use settings::Settings;
use taja_plugin::{
    debug,
    host::{Named, catalogue, media::Image, types::Region},
    search::{Content, Guest, Leg, Measure, Part, Query, depth, leg_name},
};
use tiles::{Area, Tile};

/// The component.
pub struct SearchBarcode;

impl Guest for SearchBarcode {
    fn search(query: Query) -> Result<Vec<Leg>, String> {
        let settings = Settings::parse(&query.settings).map_err(|error| error.to_string())?;
        let leg = |(at, part): (u32, &_)| leg(at, part, depth(query.limit), &settings);
        (0..).zip(&query.parts).map(leg).collect()
    }
}

fn leg(at: u32, part: &Part, depth: u32, settings: &Settings) -> Result<Leg, String> {
    let code = match &part.content {
        Content::Text(text) => Gtin::parse(text)?,
        Content::Image(picture) => code_in(picture)?,
        Content::Video(_) => {
            return Err("a barcode is read from digits or a picture, not from a video".to_owned());
        }
    };
    let hits = catalogue::matching(&code.filter(&settings.fields), depth).named("catalogue.matching")?;
    let weight = settings.weight * part.weight;
    Ok(Leg { name: leg_name("barcode", at), part: at, measure: Measure::Relevance, weight, hits })
}

/// The code in a picture: in the whole of it, and where that is too coarse in its middle.
fn code_in(picture: &Image) -> Result<Gtin, String> {
    let whole = Area { x: 0, y: 0, width: picture.width(), height: picture.height() };
    let mut areas = vec![whole];
    if tiles::scale(whole) > 1 {
        areas.push(whole.middle());
    }
    for area in areas {
        if let Some(code) = scan::find(&read(picture, area)?) {
            debug!("read {code:?} in {area:?}");
            return Ok(code);
        }
    }
    let advice = "hold the code level and in the middle, sharp, with some light paper around it";
    Err(format!("no EAN or UPC barcode can be read in the picture: {advice}, or send its digits"))
}

/// An area of the picture in shades of grey, as finely as the host calls allow.
fn read(picture: &Image, area: Area) -> Result<Raster, String> {
    let scale = tiles::scale(area);
    let mut raster = Raster::new((area.width / scale) as usize, (area.height / scale) as usize);
    for Tile { source, target } in tiles::tiles(area, scale) {
        let region = Region { x: source.x, y: source.y, width: source.width, height: source.height };
        let tile = picture.crop(region).named("media.crop")?;
        let pixels = tile.pixels(target.width, target.height).named("media.pixels")?;
        raster.put(target.x as usize, target.y as usize, target.width as usize, &pixels);
    }
    Ok(raster)
}

taja_plugin::search::export!(SearchBarcode);
