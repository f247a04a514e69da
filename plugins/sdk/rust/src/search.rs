//! The contract of search plugins: parts of a query in, ranked lists out.

#[doc(inline)]
pub use crate::__export_search as export;
pub use crate::bindings::search::exports::taja::plugin::searching::{
    Content, Guest, Leg, Measure, Part, Query,
};
use crate::host::media::{Image, Video};

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

/// Hits per leg. More than the client pages through, because several images may be of one product and because
/// products fall out in the ranking; never more than 1,000, which is what ranking is measured with.
pub fn depth(limit: u32) -> u32 {
    limit.saturating_mul(2).clamp(100, 1000)
}

/// The name of a leg: `base` for the first part, `base-2` for the second.
pub fn leg_name(base: &str, part: u32) -> String {
    if part == 0 { base.to_owned() } else { format!("{base}-{}", part + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_offers_twice_the_limit_between_100_and_1000() {
        assert_eq!([0, 10, 50, 200, 501, u32::MAX].map(depth), [100, 100, 100, 400, 1000, 1000]);
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
