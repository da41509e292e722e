"""Spans become tables; nothing malformed gets in unseen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisila.errors import DataSetError
from omnisila.evaluation.grid import covered_frames, frame_scores, grid_of
from omnisila.evaluation.tables import Footage, SpanTable, merge_spans, resample, tabulate, tabulate_truth, touches
from omnisila.systems import SpanRow

LABELS = ("Fighting", "Fire")
FOOTAGE = Footage(("a.mp4", "b.mp4"), np.array([10.0, 4.0]))


def row(start_s: float, end_s: float, *, video: str = "a.mp4", label: str = "Fire", score: float = 1.0) -> SpanRow:
    return SpanRow(video, label, start_s, end_s, score)


def table(*rows: SpanRow) -> SpanTable:
    return tabulate(rows, FOOTAGE, LABELS).table


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(10, 5), "empty_or_inverted"),
        (row(5, 5), "empty_or_inverted"),
        (row(-1, 5), "outside_video"),
        (row(10, 12), "outside_video"),
        (row(float("nan"), 5), "not_finite"),
        (row(0, float("inf")), "not_finite"),
        (row(0, 5, score=float("nan")), "not_finite"),
        (row(0, 5, label="Flood"), "unknown_label"),
        (row(0, 5, video="c.mp4"), "unknown_video"),
        (row(9, 3, video="c.mp4", label="Flood"), "unknown_video"),
    ],
)
def test_a_malformed_span_is_refused_once_for_its_first_reason(bad: SpanRow, reason: str) -> None:
    kept, refused, stated = tabulate([row(1, 2), bad], FOOTAGE, LABELS)

    assert len(kept.video) == 1
    assert refused.total == 1
    assert refused._asdict()[reason] == 1
    overlap_s = np.minimum(stated.end_s, 10.0) - np.maximum(stated.start_s, 0.0)
    known = np.isfinite(bad.score) and bad.label in LABELS
    assert len(stated.video) == 1 + known, "it stays a prediction"
    assert np.isfinite(overlap_s).all()


def test_a_span_past_its_videos_end_is_clipped_and_counted() -> None:
    kept, refused, stated = tabulate([row(8, 11), row(8, 10)], FOOTAGE, LABELS)

    assert kept.end_s.tolist() == [10, 10]
    assert stated.end_s.tolist() == [11, 10]
    assert (refused.clipped, refused.total) == (1, 0)


def test_malformed_truth_stops_with_the_first_bad_span() -> None:
    with pytest.raises(DataSetError, match=r"truth of b\.mp4: Fire \[3, 1\) is refused \(empty or inverted\)"):
        tabulate_truth([row(1, 2), row(3, 1, video="b.mp4"), row(5, 5)], FOOTAGE, LABELS)


def test_no_spans_at_all() -> None:
    empty = tabulate([], FOOTAGE, LABELS).table

    assert len(merge_spans(empty).video) == 0
    assert not covered_frames(grid_of(FOOTAGE), empty).any()
    assert touches(table(row(0, 1)), empty).tolist() == [False]


def test_merging_joins_overlapping_and_touching_spans_of_one_video() -> None:
    spans = table(
        row(5, 6),
        row(0, 4),
        row(1, 2),
        row(4, 4.5, label="Fighting"),
        row(0, 1, video="b.mp4"),
        row(3, 4, video="b.mp4"),
    )

    stretches = merge_spans(spans)

    assert list(zip(stretches.video.tolist(), stretches.start_s, stretches.end_s, strict=True)) == [
        (0, 0, 4.5), (0, 5, 6), (1, 0, 1), (1, 3, 4),
    ]  # fmt: skip


def test_touching_is_half_open_and_within_one_video() -> None:
    events = table(row(2, 4), row(1, 3, video="b.mp4"))
    alarms = table(row(0, 2), row(3.9, 5), row(4, 5), row(0, 10), row(3, 4, video="b.mp4"), row(0, 4, video="b.mp4"))

    assert touches(alarms, events).tolist() == [False, True, False, True, False, True]


def test_a_video_drawn_twice_becomes_two() -> None:
    spans = table(row(1, 2), row(0, 4, video="b.mp4"), row(3, 5, score=0.5))

    outside = tabulate([row(3, 4, video="c.mp4")], FOOTAGE, LABELS).stated
    drawn = resample(SpanTable(*map(np.concatenate, zip(spans, outside, strict=True))), np.array([1, 0, 0]))

    assert drawn.video.tolist() == [0, 1, 1, 2, 2, -1], "what is of no video is in every draw"
    assert drawn.start_s.tolist() == [0, 1, 3, 1, 3, 3]
    assert FOOTAGE.at(np.array([1, 0, 0])).duration_s.tolist() == [4, 10, 10]


def test_frames_are_those_at_k_over_the_rate_within_half_open_spans() -> None:
    footage = Footage(("a", "b"), np.array([1.05, 0.5]))
    grid = grid_of(footage, 8.0)
    spans = tabulate(
        [SpanRow("a", "Fire", 0.125, 0.5, 0.3), SpanRow("b", "Fire", 0.2, 0.5, 0.9)], footage, LABELS
    ).table

    assert grid.first.tolist() == [0, 9, 13]
    assert np.flatnonzero(covered_frames(grid, spans)).tolist() == [1, 2, 3, 11, 12]
    assert frame_scores(grid, spans)[[0, 1, 3, 4, 11]].tolist() == [0, 0.3, 0.3, 0, 0.9]


def test_times_that_floating_point_cannot_hold_fall_on_their_frame() -> None:
    footage = Footage(("a",), np.array([0.7]))

    assert np.flatnonzero(
        covered_frames(grid_of(footage, 10.0), tabulate([SpanRow("a", "Fire", 0.3, 0.6)], footage, LABELS)[0])
    ).tolist() == [3, 4, 5]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 31), st.integers(1, 16), st.floats(0, 1)), max_size=12),
    st.sampled_from([1.0, 8.0, 25.0]),
)
def test_covered_frames_and_scores_agree_with_a_loop(spans: list[tuple[int, int, int, float]], rate_hz: float) -> None:
    rows = [
        SpanRow(FOOTAGE.names[video], "Fire", start / 8, (start + length) / 8, score)
        for video, start, length, score in spans
    ]
    found = table(*rows)
    grid = grid_of(FOOTAGE, rate_hz)
    inside: list[list[float]] = [[] for _ in range(grid.frames)]
    for video, start_s, end_s, score in zip(found.video, found.start_s, found.end_s, found.score, strict=True):
        for frame in range(int(grid.first[video]), int(grid.first[video + 1])):
            if start_s <= (frame - grid.first[video]) / rate_hz < end_s:
                inside[frame].append(score)

    assert covered_frames(grid, found).tolist() == [bool(scores) for scores in inside]
    assert frame_scores(grid, found).tolist() == [max(scores, default=0.0) for scores in inside]
