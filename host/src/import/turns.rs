//! Rows that bring the same picture, by its bytes: they go one after the other, so that the first in the file becomes the
//! product, and what comes after it is what a known product is.

use std::collections::HashMap;

use taja_catalog::ImageHash;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Which rows under way bring which pictures.
#[derive(Default)]
pub struct Turns {
    /// The last of those that bring a picture; told when it is over.
    last: HashMap<ImageHash, CancellationToken>,
}

/// A row that is under way, until it is dropped.
pub struct Turn {
    before: Vec<CancellationToken>,
    _over: DropGuard,
}

impl Turns {
    /// Lets the next row of the file stand in line for its pictures.
    pub fn next(&mut self, pictures: &[ImageHash]) -> Turn {
        self.last.retain(|_, row| !row.is_cancelled());
        let before = pictures.iter().filter_map(|picture| self.last.get(picture).cloned()).collect();
        let over = CancellationToken::new();
        self.last.extend(pictures.iter().map(|picture| (*picture, over.clone())));
        Turn { before, _over: over.drop_guard() }
    }
}

impl Turn {
    /// Waits until no row before it is under way that brings one of its pictures.
    pub async fn come(&self) {
        for row in &self.before {
            row.cancelled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_row_waits_for_those_before_it_that_bring_one_of_its_pictures() {
        let [a, b, c] = ["a", "b", "c"].map(|name| ImageHash::of(name.as_bytes()));
        let mut turns = Turns::default();
        let first = turns.next(&[a, a]);
        let second = turns.next(&[b]);
        let third = turns.next(&[c, b, a]);
        let fourth = turns.next(&[c]);
        let has_come = |turn: &Turn| turn.come().now_or_never().is_some();
        assert_eq!([&first, &second, &third, &fourth].map(has_come), [true, true, false, false]);
        drop(first);
        assert!(!has_come(&third));
        drop(second);
        assert_eq!([&third, &fourth].map(has_come), [true, false]);
        drop(third);
        assert!(has_come(&fourth));
        drop(fourth);
        assert!(has_come(&turns.next(&[a, b, c])));
        assert_eq!(turns.last.len(), 3, "what is over is forgotten");
    }
}
