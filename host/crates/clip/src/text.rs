//! A text becomes the ids a text tower takes.

mod clip_bpe;
mod entities;
mod mojibake;
mod wordpiece;

pub(crate) use clip_bpe::ClipBpe;
pub(crate) use wordpiece::WordPiece;

use crate::manifest::TokenizerKind;

/// A vocabulary and the length texts are cut at.
pub(crate) enum Tokenizer {
    Clip { bpe: Box<ClipBpe>, context: usize },
    WordPiece(Box<WordPiece>),
}

impl Tokenizer {
    /// Reads a vocabulary; the problem is told in words.
    pub(crate) fn read(kind: TokenizerKind, file: &[u8], context: usize) -> Result<Self, String> {
        Ok(match kind {
            TokenizerKind::ClipBpe => {
                let bpe = ClipBpe::read(file).map_err(|error| error.to_string())?;
                Self::Clip { bpe: Box::new(bpe), context }
            }
            TokenizerKind::WordPiece => Self::WordPiece(Box::new(WordPiece::read(file, context)?)),
        })
    }

    /// At most as many ids as the context.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        match self {
            Self::Clip { bpe, context } => Ok(bpe.encode(text, *context)),
            Self::WordPiece(tokenizer) => tokenizer.encode(text),
        }
    }

    /// What fills a shorter text up.
    pub(crate) fn pad(&self) -> u32 {
        match self {
            Self::Clip { .. } => 0,
            Self::WordPiece(tokenizer) => tokenizer.pad(),
        }
    }
}
