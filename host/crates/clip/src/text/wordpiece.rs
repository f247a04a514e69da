//! Tokenizers in the JSON form of Hugging Face's `tokenizers`.

use tokenizers::{Tokenizer, TruncationParams};

/// Longest text looked at, bytes: more tokens than any context holds.
const MAX_BYTES: usize = 64 * 1024;

/// A word-piece tokenizer that cuts at a context.
pub(crate) struct WordPiece {
    tokenizer: Tokenizer,
    pad: u32,
}

impl WordPiece {
    /// Reads a `tokenizer.json`; the problem is told in words.
    pub(crate) fn read(file: &[u8], context: usize) -> Result<Self, String> {
        let mut tokenizer =
            Tokenizer::from_bytes(file).map_err(|error| format!("is not a tokenizer.json: {error}"))?;
        let cut = TruncationParams { max_length: context, ..TruncationParams::default() };
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|error| format!("cannot be cut at {context}: {error}"))?;
        let padding = tokenizer.get_padding().map(|padding| padding.pad_id);
        let pad = padding.or_else(|| tokenizer.token_to_id("[PAD]")).unwrap_or(0);
        // Batches are padded where they are put together.
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, pad })
    }

    /// The token that fills a shorter text up.
    pub(crate) fn pad(&self) -> u32 {
        self.pad
    }

    /// The ids with the special tokens, at most as many as the context.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let text = &text[..text.floor_char_boundary(MAX_BYTES)];
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &[u8] = include_bytes!("../../tests/tiny/sentence/tokenizer.json");

    #[test]
    fn a_text_that_is_cut_keeps_its_special_tokens() {
        let tokenizer = WordPiece::read(TINY, 6).unwrap();
        assert_eq!(tokenizer.encode("a red winter shoe").unwrap(), [2, 4, 6, 11, 12, 3]);
        assert_eq!(tokenizer.encode(&"red ".repeat(50_000)).unwrap(), [2, 6, 6, 6, 6, 3]);
        assert_eq!(tokenizer.pad(), 0);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        assert!(WordPiece::read(b"{}", 6).is_err());
    }
}
