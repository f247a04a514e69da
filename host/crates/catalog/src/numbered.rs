//! Distinct things by number.

use std::{collections::HashMap, hash::Hash};

use foldhash::fast::RandomState;

/// Distinct things, numbered from 0 in the order in which they come.
///
/// What a search finds is numbered several times on its way, hundreds of identifiers each, so the hash is one that is quick for short keys.
#[derive(Debug, Clone)]
pub struct Numbered<T> {
    things: Vec<T>,
    numbers: HashMap<T, u32, RandomState>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { things: Vec::new(), numbers: HashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    /// The number of a thing, which is a new one for a thing that was not there yet.
    pub fn number(&mut self, thing: &T) -> u32 {
        if let Some(number) = self.numbers.get(thing) {
            return *number;
        }
        let number = self.things.len() as u32;
        self.numbers.insert(thing.clone(), number);
        self.things.push(thing.clone());
        number
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, more: usize) {
        self.things.reserve(more);
        self.numbers.reserve(more);
    }

    /// The things, in the order of their numbers.
    pub fn things(&self) -> &[T] {
        &self.things
    }

    /// The thing with a number.
    pub fn get(&self, number: u32) -> Option<&T> {
        self.things.get(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_one_number() {
        let mut numbered = Numbered::default();
        assert_eq!(["b", "a", "b", "c"].map(|thing| numbered.number(&thing)), [0, 1, 0, 2]);
        assert_eq!(numbered.things(), ["b", "a", "c"]);
        assert_eq!((numbered.get(2), numbered.get(3)), (Some(&"c"), None));
    }
}
