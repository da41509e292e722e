"""Visual sentiment attribution: how near a written cause is to the true one. Source: Omni-SILA 4.3.

An empty text scores 0 and is never left out.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from omnisila.errors import InputError, needing

_NO_SPACES = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # Thai, Lao, kana, ideographs


@runtime_checkable
class SentenceEncoder(Protocol):
    """Texts to vectors; ``name`` stands in every variant that used it."""

    @property
    def name(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "texts width"]: ...


class SemanticSimilarity(NamedTuple):
    """Cosine x 100 per text, and the mean over all pairs of a text with another item's truth: what unrelated gets."""

    mean: float
    per_text: Float[np.ndarray, "texts"]
    shuffled_mean: float


class UnicodeTokenizer:
    """Words of any script: ``rouge-score``'s own keeps only a-z and 0-9, so other scripts score 0 when perfect.

    Scripts written without spaces give one token a character.
    """

    def tokenize(self, text: str) -> list[str]:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        spaced = _NO_SPACES.sub(r" \g<0> ", folded)
        return "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in spaced).split()


def rouge_l(truth: Sequence[str], written: Sequence[str]) -> Float[np.ndarray, "texts"]:
    """Sem-R: ROUGE-L F per text, 0 to 1, no stemming.

    Raises:
        InputError: ``rouge-score`` is not installed, or the lists differ in length.
    """
    _same_length(truth, written)
    with needing("rouge-score", "Sem-R", "evaluate"):
        from rouge_score.rouge_scorer import RougeScorer
    scorer = RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer())
    pairs = zip(truth, written, strict=True)
    return np.array([scorer.score(true, text)["rougeL"].fmeasure for true, text in pairs], dtype=np.float64)


def semantic_similarity(truth: Sequence[str], written: Sequence[str], encoder: SentenceEncoder) -> SemanticSimilarity:
    """Sem-C: cosine of the sentence embeddings x 100.

    Raises:
        InputError: the lists differ in length.
    """
    _same_length(truth, written)
    count = len(truth)
    if not count:
        return SemanticSimilarity(np.nan, np.array([], dtype=np.float64), np.nan)
    true, text = _embed(truth, encoder), _embed(written, encoder)
    per_text = 100 * (true * text).sum(axis=1)
    everything = 100 * float(true.sum(axis=0) @ text.sum(axis=0))
    shuffled = (everything - float(per_text.sum())) / (count * (count - 1)) if count > 1 else np.nan
    return SemanticSimilarity(float(per_text.mean()), per_text, shuffled)


def find_named_labels(texts: Sequence[str], labels: Sequence[str]) -> Int[np.ndarray, "texts"]:
    """The label whose string stands in the text as whole words, case aside; -1 where none or several do.

    Several are no answer: a text that lists all labels would else always be right.
    """
    longest_first = sorted(labels, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(label.casefold()) for label in longest_first)})(?!\w)")
    position = {label.casefold(): index for index, label in enumerate(labels)}
    named = [set(pattern.findall(text.casefold())) for text in texts]
    return np.array([position[found.pop()] if len(found) == 1 else -1 for found in named], dtype=np.int64)


def labels_named_or_nearest(
    texts: Sequence[str], labels: Sequence[str], encoder: SentenceEncoder
) -> Int[np.ndarray, "texts"]:
    """The label named, else the one whose embedding is nearest; -1 only for an empty text."""
    named = find_named_labels(texts, labels)
    open_rows = [row for row, text in enumerate(texts) if named[row] < 0 and text.strip()]
    if open_rows:
        near = _embed([texts[row] for row in open_rows], encoder) @ _embed(labels, encoder).T
        named[open_rows] = near.argmax(axis=1)
    return named


def _embed(texts: Sequence[str], encoder: SentenceEncoder) -> Float[np.ndarray, "texts width"]:
    vectors = np.asarray(encoder.encode(texts), dtype=np.float64)
    written = np.array([bool(text.strip()) for text in texts])[:, None]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(written, vectors / np.where(lengths > 0, lengths, 1.0), 0.0)


def _same_length(truth: Sequence[str], written: Sequence[str]) -> None:
    if len(truth) != len(written):
        raise InputError(f"{len(written)} written causes for {len(truth)} true ones. Give one for each, empty if none.")
