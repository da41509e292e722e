from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Float
from rouge_score.rouge_scorer import RougeScorer

from omnisila.errors import InputError
from omnisila.evaluation.attributing import find_named_labels, labels_named_or_nearest, rouge_l, semantic_similarity


class LetterCounts:
    name = "letter counts"

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "texts width"]:
        return np.array([[text.lower().count(chr(97 + at)) + 1e-3 for at in range(26)] for text in texts])


TRUTH = ["A man hits another man.", "Smoke rises from the shop, and people run!"]
WRITTEN = ["another man hits a man", "people run from smoke"]


def test_rouge_is_rouge_scores_on_plain_english() -> None:
    scorer = RougeScorer(["rougeL"])
    wanted = [scorer.score(true, text)["rougeL"].fmeasure for true, text in zip(TRUTH, WRITTEN, strict=True)]
    np.testing.assert_allclose(rouge_l(TRUTH, WRITTEN), wanted)


@pytest.mark.parametrize("text", ["Драка на улице", "街上有人打架", "सड़क पर लड़ाई", "دعوا در خیابان"])
def test_a_perfect_text_in_any_script_scores_one(text: str) -> None:
    assert rouge_l([text], [text]).tolist() == [1.0]


def test_an_empty_text_scores_zero_and_counts() -> None:
    assert rouge_l(TRUTH, ["", WRITTEN[1]])[0] == 0
    assert semantic_similarity(TRUTH, ["", TRUTH[1]], LetterCounts()).mean == pytest.approx(50)


def test_cosine_and_its_shuffled_pairs_are_the_plain_loops() -> None:
    result = semantic_similarity(TRUTH, WRITTEN, LetterCounts())
    true, text = (LetterCounts().encode(texts) for texts in (TRUTH, WRITTEN))
    cosine = [[100 * a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in text] for a in true]
    assert result.mean == pytest.approx((cosine[0][0] + cosine[1][1]) / 2)
    assert result.shuffled_mean == pytest.approx((cosine[0][1] + cosine[1][0]) / 2)
    assert np.isnan(semantic_similarity(TRUTH[:1], WRITTEN[:1], LetterCounts()).shuffled_mean)


def test_labels_by_name_and_by_nearest() -> None:
    texts = ["It is a FIRE.", "fireworks", "fire or theft", ""]
    assert find_named_labels(texts, ["Fire", "Theft"]).tolist() == [0, -1, -1, -1]
    assert labels_named_or_nearest(texts, ["Fire", "Theft"], LetterCounts())[[0, 1, 3]].tolist() == [0, 0, -1]


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="1 written causes for 2"):
        rouge_l(TRUTH, WRITTEN[:1])
