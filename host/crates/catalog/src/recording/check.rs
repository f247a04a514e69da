//! What a recording must hold beyond the form of its fields, so that replaying one from a stranger harms nobody.

use std::sync::Arc;

use super::{Answered, HostCall, Input, RecordedCall};
use crate::{
    embedding::Embedding,
    policy::{Candidates, Content},
};

impl RecordedCall {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Input::Rank(candidates) = &self.input {
            check_candidates(candidates)?;
        }
        let dimension = self.space.as_ref().map_or(0, |space| space.dimension);
        self.host.iter().try_for_each(|call| check_vectors(call, dimension))
    }
}

/// The host makes room for each product there is said to be.
fn check_candidates(candidates: &Candidates) -> Result<(), String> {
    let matches = &candidates.matches;
    let rows = matches.scores.len();
    let products = candidates.product_count as usize;
    if [matches.legs.len(), matches.products.len(), matches.images.len()] != [rows; 3] {
        return Err("the columns of its matches differ in length".into());
    }
    if matches.legs.iter().any(|leg| *leg as usize >= candidates.legs.len()) {
        return Err("a match is of a leg that there is not".into());
    }
    if products > rows || matches.products.iter().any(|product| *product as usize >= products) {
        return Err("a match is of a product that there is not, or a product has no match".into());
    }
    let attributes = candidates.numbers.iter().map(|(_, values)| values.len());
    if attributes
        .chain(candidates.texts.iter().map(|(_, values)| values.len()))
        .any(|values| values != products)
    {
        return Err("an attribute has not one value for each product".into());
    }
    Ok(())
}

fn check_vectors(call: &HostCall, dimension: usize) -> Result<(), String> {
    let Answered::Vectors(vectors) = &call.answered else { return Ok(()) };
    match vectors.iter().map(Embedding::dimension).find(|found| *found != dimension) {
        Some(found) => Err(format!("a vector has {found} components, and its space {dimension}")),
        None => Ok(()),
    }
}

impl Input {
    /// Gives each video a path of its own: the real one was not kept, and without any they would be the same.
    pub(super) fn name_videos(&mut self) {
        let Self::Search { parts, .. } = self else { return };
        let videos = parts.iter_mut().filter_map(|part| match &mut part.content {
            Content::Video(file) => Some(Arc::make_mut(file)),
            _ => None,
        });
        for (place, video) in videos.enumerate() {
            video.path = format!("recorded-video-{place}").into();
        }
    }
}
