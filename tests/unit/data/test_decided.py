"""Decisions as locate examples: what was accepted is the truth, with people's labels and spans."""

from datetime import UTC, datetime, timedelta

from omnisila.data.preparation.decided import decided_examples
from omnisila.decisions import Decision

_NOW = datetime.now(UTC)


def decision(finding: str, **changes: object) -> Decision:
    base = Decision(
        finding=finding, verdict="accepted", labels="implicit", label="Fire", start_s=1.0, end_s=3.0, model_start_s=1.0,
        model_end_s=3.0, video="v.mp4", video_sha256="sha", duration_s=9.0, user="ann", decided_utc=_NOW, score=0.5,
        analysis="a", model="m",
    )  # fmt: skip
    return base.replace(**changes)


def test_a_videos_truth_is_what_was_accepted() -> None:
    told: list[str] = []
    (example,) = decided_examples(
        [
            decision("late", start_s=4.0, end_s=5.5, new_label="Theft"),
            decision("early"),
            decision("wrong", verdict="rejected"),
            decision("rated", verdict=None, rating=3),
        ],
        told.append,
    )
    assert [(one.label, one.span.start_s, one.span.end_s) for one in example.truth] == [
        ("Fire", 1.0, 3.0),
        ("Theft", 4.0, 5.5),
    ]
    assert (example.end_s, example.split, example.video_sha256) == (9.0, "val", "sha")
    assert example.answer == "Fire from 1s to 3s; Theft from 4s to 5.5s"
    assert told == []


def test_a_video_with_nothing_accepted_is_one_without_events() -> None:
    (example,) = decided_examples([decision("wrong", verdict="rejected")], lambda _: None)
    assert example.truth == ()


def test_the_last_word_counts_and_disputed_videos_are_left_out() -> None:
    told: list[str] = []
    later = _NOW + timedelta(seconds=5)
    examples = decided_examples(
        [
            decision("a", user="bob", start_s=1.2, decided_utc=later),
            decision("a"),
            decision("b", video_sha256="other", video="w.mp4"),
            decision("b", video_sha256="other", video="w.mp4", user="bob", verdict="rejected"),
        ],
        told.append,
    )
    assert [example.video for example in examples] == ["v.mp4"]
    assert examples[0].truth[0].span.start_s == 1.2
    assert told == ["left out: w.mp4: people differ about 1 findings"]
