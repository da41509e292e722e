"""Attribute answers: the written cause of a finding. Source: Omni-SILA 4.3 (VSA)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from omnisila.evaluation import attributing
from omnisila.evaluation.answers import CHANCE, FLAG_NONE, Answers, Chosen, Part, PerItem, number_names, with_label_set
from omnisila.evaluation.attributing import SentenceEncoder
from omnisila.evaluation.named_scores import make_score
from omnisila.labels import LabelSet
from omnisila.schema import Score

ROUGE_RECIPE = "ROUGE-L F, tokens of any script, no stemming"


class Meaning(NamedTuple):
    """What a sentence encoder makes of the texts."""

    encoder: str
    similarity: Float[np.ndarray, "items"]
    unrelated: float
    label: Int[np.ndarray, "items"]


class Attributed(NamedTuple):
    """Causes and what each is worth by itself; a missing one is an empty text. ``label`` -1 is none or several."""

    labels: LabelSet
    true_texts: tuple[str, ...]
    true_label: Int[np.ndarray, "items"]
    overlap: Float[np.ndarray, "items"]
    label: Int[np.ndarray, "items"]
    meaning: Meaning | None
    groups: Int[np.ndarray, "items"]
    encoder: SentenceEncoder | None

    def scores(self, chosen: Chosen) -> tuple[Score, ...]:
        count, true_label = len(chosen), self.true_label[chosen]
        scores = [
            make_score("Sem-R", ROUGE_RECIPE, float(self.overlap[chosen].mean()), count),
            make_score(
                "Sen-A", "the label's name in the text", float(_is_right(self.label[chosen], true_label).mean()), count
            ),
        ]
        if self.meaning is not None:
            nearest = f"the label's name, else the nearest label by {self.meaning.encoder}"
            right = float(_is_right(self.meaning.label[chosen], true_label).mean())
            likeness = float(self.meaning.similarity[chosen].mean())
            scores += [
                make_score("Sen-A", nearest, right, count),
                make_score("Sem-C", f"cosine x 100, {self.meaning.encoder}", likeness, count),
            ]
        return with_label_set(self.labels.name, scores)

    def details(self) -> tuple[Score, ...]:
        """Each label's Sen-A, and what Sem-C unrelated causes get."""
        scores = [
            make_score(
                "Sen-A",
                f"{self.labels.labels[label]}; the label's name in the text",
                float((self.label[self.true_label == label] == label).mean()),
                int((self.true_label == label).sum()),
            )
            for label in np.unique(self.true_label[self.true_label >= 0])
        ]
        if self.meaning is not None:
            variant = f"cosine x 100, {self.meaning.encoder}; causes of other items"
            scores.append(make_score("Sem-C", variant, self.meaning.unrelated, len(self.true_texts)))
        return with_label_set(self.labels.name, scores)

    def per_item(self) -> PerItem:
        return PerItem("Sem-R", f"{self.labels.name}; {ROUGE_RECIPE}", self.overlap)

    def trivial(self) -> Iterator[tuple[str, Part]]:
        yield FLAG_NONE, self._saying([""] * len(self.true_texts))
        order = np.random.default_rng(0).permutation(len(self.true_texts))
        yield CHANCE, self._saying([self.true_texts[index] for index in order])

    def _saying(self, texts: Sequence[str]) -> "Attributed":
        return _make_part(self.labels, self.true_texts, texts, self.true_label, self.groups, self.encoder)


def parts(answers: Answers, labels: LabelSet, encoder: SentenceEncoder | None = None) -> list[Attributed]:
    """One part, or none; Sem-C needs an encoder."""
    pairs = answers.of("attribute", labels.name)
    if not pairs:
        return []
    position = {label: index for index, label in enumerate(labels.labels)}
    true_label = np.array([position.get(e.truth[0].label, -1) if e.truth else -1 for e, _ in pairs])
    return [
        _make_part(
            labels,
            tuple(example.answer for example, _ in pairs),
            [prediction.answer if prediction is not None and prediction.parse_ok else "" for _, prediction in pairs],
            true_label,
            number_names(example.video for example, _ in pairs),
            encoder,
        )
    ]


def _is_right(said: Int[np.ndarray, "items"], true: Int[np.ndarray, "items"]) -> Bool[np.ndarray, "items"]:
    """An item without a true label is never right."""
    return (said == true) & (true >= 0)


def _make_part(
    labels: LabelSet,
    true_texts: tuple[str, ...],
    texts: Sequence[str],
    true_label: Int[np.ndarray, "items"],
    groups: Int[np.ndarray, "items"],
    encoder: SentenceEncoder | None,
) -> Attributed:
    return Attributed(
        labels,
        true_texts,
        true_label,
        attributing.rouge_l(true_texts, texts),
        attributing.find_named_labels(texts, labels.labels),
        None if encoder is None else _meaning(true_texts, texts, labels, encoder),
        groups,
        encoder,
    )


def _meaning(true_texts: Sequence[str], texts: Sequence[str], labels: LabelSet, encoder: SentenceEncoder) -> Meaning:
    likeness = attributing.semantic_similarity(true_texts, texts, encoder)
    nearest = attributing.labels_named_or_nearest(texts, labels.labels, encoder)
    return Meaning(encoder.name, likeness.per_text, likeness.shuffled_mean, nearest)
