"""Scores of whole prediction files, against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest

from omnisila.errors import InputError
from omnisila.evaluation.score_files import read_scores, write_scores
from omnisila.evaluation.scoring import score_systems
from omnisila.schema import Example, Finding, Prediction, Scores, Span, Truth
from omnisila.systems import SpanRow, System


def truth(start_s: float, end_s: float, label: str, cause: str | None = None) -> Truth:
    return Truth(span=Span(start_s=start_s, end_s=end_s), label=label, cause=cause)


def example(name: str, task: Any, answer: str, *events: Truth, end_s: float = 10.0, **more: Any) -> Example:
    values = {"start_s": 0.0, "labels": "explicit", "instruction": "?", "split": "test"} | more
    video = name.partition("#")[0]
    return Example(id=name, video=video, end_s=end_s, task=task, answer=answer, truth=events, group=video, **values)


def said(name: str, *spans: tuple[float, float, str, float], **more: Any) -> Prediction:
    findings = tuple(
        Finding(span=Span(start_s=a, end_s=b), label=label, labels="explicit", score=score, cause=None)
        for a, b, label, score in spans
    )
    return Prediction(**({"example_id": name, "system": "ours", "answer": "", "findings": findings} | more))


def values(scores: Scores) -> dict[tuple[str, str], float | None]:
    found = {(score.metric, score.variant): score.value for score in scores.scores}
    assert len(found) == len(scores.scores), "two scores of one name"
    return found


WINDOWS = [
    example("a#0", "identify", "negative", end_s=1.0),
    example("a#1", "identify", "neutral", start_s=1.0, end_s=2.0),
    example("b#0", "identify", "negative", end_s=1.0),
    example("b#1", "identify", "positive", start_s=1.0, end_s=2.0),
]


def test_answers_that_are_missing_malformed_or_of_nothing_are_wrong_and_counted() -> None:
    predictions = [
        said("a#0", posterior={"negative": 0.9, "neutral": 0.1}, anomaly=0.9, seconds=2.0),
        said("a#1", parse_ok=False, answer="no idea"),
        said("b#0", (0.0, 1.0, "negative", 1.0), seconds=4.0),
        said("b#0"),
        said("c#0"),
    ]

    ours, flag_all, flag_none, chance = score_systems(
        WINDOWS, [System("ours", predictions, strangers=("x", "y"))], draws=0
    )

    found = values(ours)
    assert found["accuracy", "explicit; window level"] == 0.5
    assert found["accuracy", "explicit; window level, macro over videos"] == 0.5
    assert found["unparsed", "explicit; share of windows without a label"] == 0.5
    assert found["F2", "explicit; window level, positive labels as one"] == 1.0  # both negatives, no false alarm
    assert found["recall", "explicit; negative; window level"] == 1.0
    assert found["recall", "explicit; neutral; window level"] == 0.0
    assert found["missing predictions", "identify, count"] == 1
    assert found["malformed predictions", "identify, count"] == 1
    assert found["predictions without an example", "count"] == 3
    assert found["repeated predictions", "count, the first counts"] == 1
    assert found["seconds per example", "mean"] == 3.0
    assert found["AUC", "explicit; window level, positive labels as one"] == 0.0, "scores that are missing do not help"
    assert values(flag_all)["accuracy", "explicit; window level"] == 0.5
    assert values(flag_none)["accuracy", "explicit; window level"] == 0.25
    assert values(flag_none)["AUC", "explicit; window level, positive labels as one"] == 0.5
    assert [one.system for one in (flag_all, flag_none, chance)] == ["flag all", "flag none", "chance"]


LOCATE = [
    example("a#locate", "locate", "?", truth(0, 4, "negative"), truth(6, 8, "positive")),
    example("b#locate", "locate", "nothing", end_s=20.0),
]


def test_frames_count_negative_time_and_average_precision_both_sentiments() -> None:
    found_half = said(
        "a#locate", (0.0, 2.0, "negative", 0.9), (6.0, 8.0, "positive", 0.8), (15.0, 16.0, "negative", 0.7)
    )
    alarm = said("b#locate", (3.0, 5.0, "negative", 0.5))

    ours, flag_all, flag_none, _ = (
        values(one) for one in score_systems(LOCATE, [System("ours", [alarm, found_half])], draws=20)
    )

    assert ours["FNR", "explicit; frames, micro; 8 Hz grid"] == pytest.approx(0.5)
    assert ours["precision", "explicit; frames; 8 Hz grid"] == pytest.approx(0.5)
    assert ours["F2", "explicit; frames, micro; 8 Hz grid"] == pytest.approx(0.5)
    assert ours["false-positive rate", "explicit; frames of eventless videos; 8 Hz grid"] == pytest.approx(0.1)
    assert ours["false alarms per hour", "explicit; stretches that touch no event, per eventless hour"] == (
        pytest.approx(1 / (26 / 3600))
    )
    rule = "ActivityNet interpolation, ties by input order"
    assert ours["mAP@tIoU", f"explicit; 0.3; {rule}"] == pytest.approx(1.0), "0.5 overlap, ranked first"
    assert ours["mAP@tIoU", f"explicit; positive, negative; 0.3; {rule}"] == pytest.approx(1.0)
    assert ours["refused spans", "explicit; count"] == 1
    assert ours["FNR", "explicit; negative; frames, micro; 8 Hz grid"] == pytest.approx(0.5)
    assert ("FNR", "explicit; positive; frames, micro; 8 Hz grid") not in ours
    assert flag_all["FNR", "explicit; frames, micro; 8 Hz grid"] == 0.0
    assert flag_all["precision", "explicit; frames; 8 Hz grid"] == pytest.approx(4 / 30)
    assert flag_none["FNR", "explicit; frames, micro; 8 Hz grid"] == 1.0
    assert flag_none["precision", "explicit; frames; 8 Hz grid"] is None


STALE = ("predictions of another version of their example", "count, never scored")
MAP = "mean of 0.1, 0.2, 0.3; ActivityNet interpolation, ties by input order"


def test_a_span_past_the_end_is_as_long_as_it_was_said_and_told() -> None:
    asked = [example("a#locate", "locate", "?", truth(2, 4, "negative"))]
    far, near = (said("a#locate", (2.0, end_s, "negative", 1.0)) for end_s in (9999.0, 4.5))

    found, fair = (score_systems(asked, [System("x", [one])], draws=20)[0] for one in (far, near))

    assert values(found)["mAP@tIoU", f"explicit; {MAP}"] == 0.0
    assert values(found)["F2", "explicit; tsl300, mean of 0.1, 0.2, 0.3"] == 0.0
    assert next(s for s in found.scores if s.metric == "refused spans").note == "1 clipped"
    assert values(fair)["mAP@tIoU", f"explicit; {MAP}"] == 1.0
    assert next(s for s in fair.scores if s.metric == "refused spans").note is None


def test_spans_that_no_prediction_can_hold_are_false_positives_and_counted() -> None:
    right = said("a#locate", (0.0, 4.0, "negative", 0.5), (6.0, 8.0, "positive", 0.5))
    strays = {"explicit": [SpanRow("elsewhere", "negative", 0, 4, 0.9), SpanRow("a", "negative", 3, 3, 0.8)]}

    alone, beside = score_systems(LOCATE, [System("x", [right]), System("y", [right], strays=strays)], draws=20)[:2]

    assert values(alone)["mAP@tIoU", f"explicit; {MAP}"] == 1.0
    assert values(beside)["mAP@tIoU", f"explicit; {MAP}"] == pytest.approx(1 / 3), "third in rank"
    assert values(beside)["FNR", "explicit; frames, micro; 8 Hz grid"] == 0.0, "they cover no frame"
    refused = next(s for s in beside.scores if s.metric == "refused spans")
    assert (refused.value, refused.note) == (2, "1 unknown video, 1 empty or inverted")


def test_answers_to_another_version_of_an_example_are_never_scored() -> None:
    now = WINDOWS[0]
    shifted, cut_again = now.replace(start_s=0.5, end_s=1.5), now.replace(video_sha256="b")
    right = said("a#0", posterior={"negative": 1.0}, example_digest=now.digest, video_sha256="a")

    def accuracy(asked: Example) -> tuple[float | None, float | None]:
        found = values(score_systems([asked], [System("x", [right])], draws=0)[0])
        unit = "window level"
        return found["accuracy", f"explicit; {unit}"], found[STALE]

    assert accuracy(now) == (1.0, 0)
    assert accuracy(now.replace(answer="positive", truth=(), group="x")) == (0.0, 0), "the truth is corrected"
    assert accuracy(shifted) == (0.0, 1)
    assert accuracy(cut_again) == (0.0, 1), "the footage is another"


def test_windows_are_told_from_whole_videos_whatever_their_length() -> None:
    asked = [
        example("a#identify", "identify", "negative"),
        *(example(f"a#{k}", "identify", "neutral", start_s=5.0 * k, end_s=5.0 * k + 5) for k in range(2)),
        example("short#identify", "identify", "negative", end_s=0.8),
        example("short#0", "identify", "negative", end_s=0.8),
        example("own-name", "identify", "neutral", start_s=2.0, end_s=4.0, ),
        example("own-name-whole", "locate", "nothing", end_s=9.0),
    ]  # fmt: skip
    asked[-2:] = [one.replace(video="own") for one in asked[-2:]]
    counts = {
        score.variant: score.count
        for score in score_systems(asked, [System("x", [])], draws=0)[0].scores
        if score.metric == "accuracy" and score.variant.endswith("level")
    }
    assert counts == {"explicit; window level": 4, "explicit; video level": 2}


def test_windows_rank_frames_where_they_are_scored() -> None:
    windows = [example(f"a#{k}", "identify", "neutral", start_s=k, end_s=k + 1.0) for k in range(10)]
    predictions = [said(f"a#{k}", anomaly=0.9 if k < 4 else 0.1) for k in range(10)]

    ours = values(score_systems([*LOCATE, *windows], [System("ours", predictions)], draws=0)[0])

    assert ours["AUC", "explicit; frames; window scores; 8 Hz grid"] == 1.0


def test_causes() -> None:
    asked = [
        example("a#0#why", "attribute", "a man shouts", truth(0, 4, "negative")),
        example("b#0#why", "attribute", "a child laughs", truth(0, 4, "positive")),
    ]
    ours, silent, chance = score_systems(
        asked, [System("ours", [said("a#0#why", answer="a man shouts, negative")])], draws=0
    )

    found = values(ours)
    recipe = "explicit; ROUGE-L F, tokens of any script, no stemming"
    assert found["Sem-R", recipe] == pytest.approx((2 * (3 / 4) * 1 / (3 / 4 + 1)) / 2)
    assert found["Sen-A", "explicit; the label's name in the text"] == 0.5
    assert found["Sen-A", "explicit; negative; the label's name in the text"] == 1.0
    assert values(silent)["Sem-R", recipe] == 0.0
    assert chance.system == "chance"


class Letters:
    """Counts of letters: texts of the same letters are alike."""

    name = "letters"

    def encode(self, texts: Any) -> np.ndarray:
        return np.array([[text.count(chr(97 + k)) for k in range(26)] for text in texts], dtype=np.float64)


def test_meaning_needs_an_encoder_and_stands_beside_unrelated_texts() -> None:
    asked = [
        example("a#0#why", "attribute", "abc", truth(0, 4, "negative")),
        example("b#0#why", "attribute", "xyz", truth(0, 4, "positive")),
    ]
    predictions = [said("a#0#why", answer="cab"), said("b#0#why", answer="zyx")]

    found = values(score_systems(asked, [System("ours", predictions)], draws=0, encoder=Letters())[0])

    assert found["Sem-C", "explicit; cosine x 100, letters"] == pytest.approx(100)
    assert found["Sem-C", "explicit; cosine x 100, letters; causes of other items"] == pytest.approx(0)
    assert ("Sen-A", "explicit; the label's name, else the nearest label by letters") in found


def test_intensities() -> None:
    names = ("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic Pain", "Fear", "Surprise")
    asked = [
        example(f"{k}#react", "react", "?", labels="reaction", intensities=dict.fromkeys(names, k / 4))
        for k in range(4)
    ]
    fine = dict.fromkeys(names, 0.5)
    predictions = [said(f"{k}#react", intensities=fine | {"Fear": k / 8, "Adoration": 1 - k / 4}) for k in range(3)]

    ours, chance = score_systems(asked, [System("ours", predictions)], draws=0)

    found = values(ours)
    assert found["Pearson", "reaction; Disgust"] == 0.0
    # the fourth is filled with the others' mean: 0, 1/8, 2/8, 1/8 against 0, 1, 2, 3 has r = 2 / sqrt(2 * 5)
    assert found["Pearson", "reaction; Fear"] == pytest.approx(2 / np.sqrt(10))
    assert found["Pearson", "reaction; Adoration"] == pytest.approx(-2 / np.sqrt(10))
    assert found["Pearson", "reaction; mean over emotions"] == pytest.approx(0)
    assert found["imputed", "reaction; share of items, filled with the emotion's mean over the other answers"] == 0.25
    assert next(s for s in ours.scores if s.variant == "reaction; Disgust").note == "constant column"
    assert chance.system == "chance"

    silent = [one.replace(intensities={n: v for n, v in (one.intensities or {}).items() if n != "Surprise"})
              for one in predictions]  # fmt: skip
    gaps = values(score_systems(asked, [System("ours", silent)], draws=0)[0])
    assert gaps["Pearson", "reaction; Fear"] == pytest.approx(2 / np.sqrt(10))
    assert gaps["Pearson", "reaction; Surprise"] == 0.0


def test_a_later_system_is_compared_with_the_first_on_the_same_videos() -> None:
    asked = [example(f"{video}#{k}", "identify", "negative", end_s=1.0) for video in range(8) for k in range(2)]
    wrong = [said(one.id, posterior={"neutral": 1.0}) for one in asked]
    right = [said(one.id, posterior={"negative": 1.0}) for one in asked]
    half = [*right[:8], *wrong[8:]]

    *_, compared = score_systems(asked, [System("wrong", wrong), System("half", half)], draws=200)

    assert compared.system == "half minus wrong"
    accuracy = next(s for s in compared.scores if s.variant == "explicit; window level")
    assert accuracy.value == 0.5
    assert 0 < (accuracy.low or 0) < 0.5 < (accuracy.high or 0) < 1
    assert 0 < (accuracy.p_value or 0) < 0.05
    t_test = next(s for s in compared.scores if "t-test" in s.variant)
    assert (t_test.value, t_test.count) == (0.5, 8)
    assert t_test.p_value == pytest.approx(0.0331, abs=1e-4)  # t = 0.5 / (0.5345 / sqrt 8) = 2.646, 7 degrees


def test_examples_that_cannot_be_scored_are_named() -> None:
    with pytest.raises(InputError, match=r"a#0: answer 'Yes' is no label of explicit"):
        score_systems([WINDOWS[0].replace(answer="Yes")], [System("x", [])], draws=0)
    with pytest.raises(InputError, match="a: several locate examples"):
        score_systems([LOCATE[0], LOCATE[0].replace(id="a#again")], [System("x", [])], draws=0)


def test_leaving_windows_out_does_not_raise_the_ranking_of_frames() -> None:
    windows = [example(f"a#{k}", "identify", "negative" if k < 4 else "neutral", start_s=k, end_s=k + 1.0)
               for k in range(10)]  # fmt: skip
    said_all = [said(f"a#{k}", anomaly=0.9 if k < 4 or k == 9 else 0.1) for k in range(10)]
    whole, without = (
        values(score_systems([*LOCATE, *windows], [System("x", some)], draws=0)[0])[
            "AUC", "explicit; frames; window scores; 8 Hz grid"
        ]
        for some in (said_all, said_all[:9])
    )
    assert whole is not None
    assert without is not None
    assert without <= whole < 1.0


def test_a_cause_without_a_true_label_is_nobodys_right_answer() -> None:
    asked = [example("a#0#why", "attribute", "a man shouts")]
    ours = score_systems(asked, [System("ours", [said("a#0#why", answer="nothing")])], draws=0)[0]
    assert values(ours)["Sen-A", "explicit; the label's name in the text"] == 0.0


def test_two_systems_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="Give each a name of its own"):
        score_systems(WINDOWS, [System("x", []), System("x", [])])


def test_score_files(tmp_path) -> None:
    path = tmp_path / "scores.json"
    scores = score_systems(WINDOWS, [System("ours", [])], draws=0)
    write_scores(path, scores)
    assert read_scores(path) == scores
    path.write_text('[{"system": "x", "scores": [{"metric": 1}]}]')
    with pytest.raises(Exception, match=r"scores\.json: 0\.scores\.0\.metric"):
        read_scores(path)
    with pytest.raises(Exception, match=r"none\.json: cannot be read"):
        read_scores(tmp_path / "none.json")
