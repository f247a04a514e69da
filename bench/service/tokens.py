"""CLIP's byte-pair tokenizer out of its merges."""

from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer as Backend, models, normalizers, pre_tokenizers

MERGES = "merges.txt"
CONTEXT = 77
START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer:
    """Texts to token numbers, as short as the longest of them allows."""

    def __init__(self, folder: Path) -> None:
        lines = (folder / MERGES).read_text(encoding="utf-8").splitlines()
        merges = [(pair[0], pair[1]) for pair in (line.split() for line in lines) if len(pair) == 2]
        letters = _byte_letters()
        words = [*letters, *(letter + END_OF_WORD for letter in letters), *("".join(pair) for pair in merges), START, END]
        vocabulary = {word: number for number, word in enumerate(words)}
        self.start, self.end = vocabulary[START], vocabulary[END]
        self.backend = Backend(models.BPE(vocabulary, merges, end_of_word_suffix=END_OF_WORD, unk_token=END))
        self.backend.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self.backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    def encode(self, texts: list[str]) -> np.ndarray:
        """Token numbers [batch, length]; what is too long loses its end."""
        rows = [[self.start, *one.ids[: CONTEXT - 2], self.end] for one in self.backend.encode_batch(texts)]
        tokens = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for row, numbers in zip(tokens, rows, strict=True):
            row[: len(numbers)] = numbers
        return tokens


def _byte_letters() -> list[str]:
    """A printable letter for each byte, in the order in which the vocabulary numbers them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
