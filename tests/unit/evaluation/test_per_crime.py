"""FNR of each crime, against a count of one frame after the other. Source: Hawkeye Table 2."""

import math

import numpy as np
import pytest

from omnisila.evaluation.grid import GRID_HZ
from omnisila.evaluation.scoring import score_systems
from omnisila.labels import ANOMALY
from omnisila.schema import Example, Finding, Prediction, Span, Truth
from omnisila.systems import System

CRIMES = ("Abuse", "Arson", "Accident")
Stretch = tuple[float, float, str]


def example(name: str, end_s: float, events: list[Stretch]) -> Example:
    truth = tuple(Truth(span=Span(start_s=a, end_s=b), label=label) for a, b, label in events)
    return Example(
        id=name, video=f"{name}.mp4", start_s=0.0, end_s=end_s, task="locate", labels="anomaly", instruction="?",
        answer="", truth=truth, split="test", group=name,
    )  # fmt: skip


def said(name: str, spans: list[Stretch]) -> Prediction:
    findings = tuple(
        Finding(span=Span(start_s=a, end_s=b), label=label, labels="anomaly", score=0.5, cause=None)
        for a, b, label in spans
    )
    return Prediction(example_id=name, system="ours", answer="", findings=findings)


def missed_by_frame(asked: Example, flagged: list[Stretch], crime: str) -> tuple[int, int]:
    """Frames of that crime, and how many of them no span of any label covers."""
    positive = missed = 0
    for frame in range(math.ceil(asked.end_s * GRID_HZ)):
        time_s = frame / GRID_HZ
        if any(t.label == crime and t.span.start_s <= time_s < t.span.end_s for t in asked.truth):
            positive += 1
            missed += not any(start_s <= time_s < end_s for start_s, end_s, _ in flagged)
    return positive, missed


@pytest.mark.parametrize("seed", range(5))
def test_each_crimes_rate_is_that_of_its_frames_and_the_mean_over_its_videos(seed: int) -> None:
    random = np.random.default_rng(seed)

    def stretches(end_s: float, most: int) -> list[Stretch]:
        edges = [sorted(random.integers(0, int(end_s * 16), 2) / 16) for _ in range(random.integers(0, most + 1))]
        return [(a, b, str(random.choice(CRIMES))) for a, b in edges if a < b]

    lengths_s = {f"v{k}": float(random.integers(5, 40)) + 0.3 for k in range(8)}
    asked = [example(name, end_s, stretches(end_s, 3)) for name, end_s in lengths_s.items()]
    flagged = {name: stretches(end_s, 4) for name, end_s in lengths_s.items()}
    ours = score_systems(asked, [System("ours", [said(*one) for one in flagged.items()])], draws=0)[0]
    found = {score.variant: score for score in ours.scores if score.metric == "FNR"}

    for crime in ANOMALY.negative:
        counts = [missed_by_frame(one, flagged[one.id], crime) for one in asked]
        videos = [(positive, missed) for positive, missed in counts if positive]
        micro, macro = (
            found.get(f"anomaly; {crime}; frames, {kind}; 8 Hz grid") for kind in ("micro", "macro over its videos")
        )
        if not any(one.label == crime for example in asked for one in example.truth):
            assert micro is macro is None, "a crime that does not occur has no rate"
        elif not videos:  # events between two frames
            assert micro is not None
            assert micro.value is None
        else:
            assert micro is not None
            assert macro is not None
            assert micro.value == pytest.approx(sum(m for _, m in videos) / sum(p for p, _ in videos))
            assert macro.value == pytest.approx(np.mean([missed / positive for positive, missed in videos]))
            assert macro.count == len(videos)


def test_the_two_means_differ_where_one_video_is_long() -> None:
    asked = [example("long", 100.0, [(0, 90, "Arson")]), example("short", 20.0, [(0, 10, "Arson")])]
    ours, flag_all, *_ = score_systems(asked, [System("ours", [said("long", [(0, 90, "Abuse")])])], draws=0)
    rates = {score.variant: score.value for score in ours.scores if score.metric == "FNR"}
    assert rates["anomaly; Arson; frames, micro; 8 Hz grid"] == pytest.approx(0.1), "found, under another name"
    assert rates["anomaly; Arson; frames, macro over its videos; 8 Hz grid"] == pytest.approx(0.5)
    trivial = {score.variant: score.value for score in flag_all.scores if score.metric == "FNR"}
    assert trivial["anomaly; Arson; frames, macro over its videos; 8 Hz grid"] == 0.0
