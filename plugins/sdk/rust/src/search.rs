//! The contract of search plugins: parts of a query in, ranked lists out.

#[doc(inline)]
pub use crate::__export_search as export;
pub use crate::bindings::search::exports::taja::plugin::searching::{
    Content, Guest, Leg, Measure, Part, Query,
};
use crate::host::{
    catalogue::{self, Hits},
    embed::Embeddings,
    media::{Image, Video},
    types::Error,
};

/// Exports a type that implements [`Guest`] as the plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_search {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::search::bindings::export!($plugin with_types_in $crate::search::bindings);
    };
}

#[doc(hidden)]
pub use crate::bindings::search as bindings;

impl Part {
    /// Its words, if it holds words.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Image(_) | Content::Video(_) => None,
        }
    }

    /// Its picture, if it holds one.
    pub fn image(&self) -> Option<&Image> {
        match &self.content {
            Content::Image(image) => Some(image),
            Content::Text(_) | Content::Video(_) => None,
        }
    }

    /// Its video, if it holds one.
    pub fn video(&self) -> Option<&Video> {
        match &self.content {
            Content::Video(video) => Some(video),
            Content::Text(_) | Content::Image(_) => None,
        }
    }
}

/// Most hits that a leg should have, and that the host answers: what ranking is measured with.
const DEEPEST: u32 = 1000;

/// Hits per leg: a quarter more than the client pages through, because products fall out in the ranking; 100 to 1,000.
pub fn depth(limit: u32) -> u32 {
    limit.saturating_add(limit / 4).clamp(100, DEEPEST)
}

/// The images nearest to the vectors, of as many products as the client pages through: where the first [`depth`] are of
/// fewer, because products have several images, the nearest 1,000.
///
/// # Errors
/// What [`catalogue::nearest`] answers.
pub fn nearest(vectors: &Embeddings, limit: u32) -> Result<Hits, Error> {
    let asked = depth(limit);
    let hits = catalogue::nearest(vectors, "", asked)?;
    // A list that is fused alone has one row per product.
    let products = Hits::fuse(&[&hits], &[1.0], 60.0)?.count();
    let is_short = is_short(asked, limit, hits.count(), products);
    if is_short { catalogue::nearest(vectors, "", DEEPEST) } else { Ok(hits) }
}

/// Whether so many images are of too few products although there may be more.
fn is_short(asked: u32, limit: u32, images: u32, products: u32) -> bool {
    products < limit && images >= asked && asked < DEEPEST
}

/// The name of a leg: `base` for the first part, `base-2` for the second.
pub fn leg_name(base: &str, part: u32) -> String {
    if part == 0 { base.to_owned() } else { format!("{base}-{}", part + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_offers_a_quarter_more_than_the_limit_between_100_and_1000() {
        assert_eq!([0, 10, 80, 200, 501, u32::MAX].map(depth), [100, 100, 100, 250, 626, 1000]);
    }

    #[test]
    fn more_images_are_asked_for_while_there_may_be_more_products() {
        assert!(is_short(250, 200, 250, 199));
        assert!(is_short(250, 200, 3 * 250, 60), "of several vectors");
        assert!(!is_short(250, 200, 250, 200), "there are products enough");
        assert!(!is_short(250, 200, 249, 60), "there are no more images");
        assert!(!is_short(1000, 900, 1000, 60), "the host answers no more");
    }

    #[test]
    fn legs_of_further_parts_are_numbered() {
        assert_eq!([0, 1, 2].map(|part| leg_name("sound", part)), ["sound", "sound-2", "sound-3"]);
    }

    #[test]
    fn a_part_gives_what_it_holds_and_nothing_else() {
        let part = Part { modality: "text".into(), content: Content::Text("red".into()), weight: 1.0 };
        assert_eq!(part.text(), Some("red"));
        assert!(part.image().is_none() && part.video().is_none());
    }
}
