"""What one annotated video is asked: windows, the whole, causes, intensities; a hand-worked case of each."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.instructions import clauses_of, parse_located
from omnisila.data.preparation.left_out import LeftOut
from omnisila.data.preparation.video_examples import (
    cause_examples,
    cut_at_end,
    drop_repeats,
    whole_examples,
    window_examples,
)
from omnisila.inference.parsed_answers import stated_intensities
from omnisila.labels import EXPLICIT, REACTION
from omnisila.schema import Span, Truth


def video(*events: tuple[float, float, str], **more: object) -> AnnotatedVideo:
    truth = tuple(Truth(span=Span(start_s=a, end_s=b), label=label) for a, b, label in events)
    fields = {"id": "v", "path": "v.mp4", "labels": {"explicit": None}, "truth": truth, "sources": ("g",), **more}
    return AnnotatedVideo.model_validate(fields)


def test_windows_carry_their_offset_and_the_label_that_covers_half():
    examples = list(window_examples("set", video((0.6, 2.5, "negative"), (2.5, 3.2, "positive")), 3.5, 1.0))
    assert [(e.id, e.start_s, e.end_s, e.answer) for e in examples] == [
        ("set/v#0", 0.0, 1.0, "neutral"),  # 0.4 s of it
        ("set/v#1", 1.0, 2.0, "negative"),
        ("set/v#2", 2.0, 3.0, "negative"),  # a tie goes to the earlier event
        ("set/v#3", 3.0, 3.5, "neutral"),  # 0.2 of the half second that is left
    ]
    assert [(t.span.start_s, t.span.end_s, t.label) for t in examples[0].truth] == [(0.6, 1.0, "negative")]
    assert {(e.split, e.group, e.task, e.instruction) for e in examples} == {
        ("train", "g", "identify", EXPLICIT.identify)
    }


def test_common_time_of_overlapping_events_counts_once():
    examples = list(window_examples("set", video((0.0, 0.4, "negative"), (0.1, 0.4, "negative")), 1.0, 1.0))
    assert examples[0].answer == "neutral"


def test_no_window_touches_an_excluded_stretch():
    examples = window_examples("set", video(), 5.0, 1.0, (Span(start_s=1.5, end_s=3.0),))
    assert [e.start_s for e in examples] == [0.0, 3.0, 4.0]


def test_times_unknown_give_no_windows_and_a_weak_label_for_the_whole():
    weak = video(labels={"anomaly": "Arson"}, truth=None)
    assert list(window_examples("set", weak, 5.0, 1.0)) == []
    assert [(e.task, e.answer) for e in whole_examples("set", weak, 5.0)] == [("identify", "Arson")]


def test_whole_video_is_identified_and_located():
    asked = {e.task: e for e in whole_examples("set", video((1, 2, "positive"), (4, 8, "negative")), 9.0)}
    assert asked["identify"].answer == "negative"
    assert asked["locate"].answer == "positive from 1s to 2s; negative from 4s to 8s"
    assert (asked["locate"].start_s, asked["locate"].end_s, asked["locate"].id) == (0.0, 9.0, "set/v#locate")
    quiet = {e.task: e.answer for e in whole_examples("set", video(), 9.0)}
    assert quiet == {"identify": "neutral", "locate": "nothing"}


def test_hawkeye_is_asked_to_locate_in_its_own_words():
    asked = [e for e in whole_examples("set", video(labels={"anomaly": None}), 9.0) if e.task == "locate"]
    assert asked[0].instruction == "Locate the timestamps when implicit anomalous sentiments are present."


def test_causes_are_asked_over_the_span_of_their_event():
    told = video(
        labels={"implicit": None},
        truth=(
            Truth(span=Span(start_s=1, end_s=2), label="Fire"),
            Truth(span=Span(start_s=3, end_s=5), label="Fire", cause=" a car burns;\nsmoke rises; "),
        ),
    )
    (example,) = cause_examples("set", told)
    assert (example.id, example.start_s, example.end_s) == ("set/v#attribute-1", 3, 5)
    assert clauses_of(example.answer) == ("a car burns", "smoke rises")


def test_reactions_are_asked_once_and_never_located():
    intensities = {label: index / 10 for index, label in enumerate(REACTION.labels)}
    (example,) = whole_examples("set", video(labels={"reaction": None}, intensities=intensities), 7.0)
    assert example.task == "react"
    assert stated_intensities(example.answer) == intensities == example.intensities


def test_events_are_cut_at_the_videos_end_and_that_is_told():
    left_out = LeftOut()
    cut = cut_at_end(video((1, 5, "negative"), (2, 4, "positive")), 4.0, left_out)
    assert [(t.span.start_s, t.span.end_s) for t in cut.truth or ()] == [(1, 4), (2, 4)]
    assert left_out.lines() == (
        "1 changed: an event ends past the video's end, and is cut there (v: negative to 5 s of 4 s)",
    )


def test_an_event_that_stands_twice_counts_once_and_keeps_its_cause():
    left_out = LeftOut()
    span = Span(start_s=1.0, end_s=2.0)
    events = [
        Truth(span=span, label="Fire"),
        Truth(span=Span(start_s=1.0002, end_s=2.0), label="Fire", cause="a car burns"),
        Truth(span=span, label="Fire", cause="smoke rises"),
        Truth(span=span, label="Fighting"),
    ]
    left = drop_repeats(video(labels={"implicit": None}, truth=tuple(events)), left_out)
    assert [(t.label, t.cause) for t in left.truth or ()] == [("Fire", "a car burns"), ("Fighting", None)]
    assert left_out.changes == {"an event stands there twice, and counts once": 2}


@given(st.lists(st.integers(0, 60_000), min_size=0, max_size=8, unique=True), st.integers(1, 60_000))
def test_windows_cover_the_video_and_answers_parse(marks: list[int], duration_ms: int):
    ordered = sorted(marks)[: len(marks) // 2 * 2]
    events = [(a / 1000, b / 1000, "negative") for a, b in zip(ordered[::2], ordered[1::2], strict=True)]
    begun = [event for event in events if event[0] < duration_ms / 1000]
    whole = cut_at_end(video(*begun), duration_ms / 1000, LeftOut())
    examples = list(window_examples("set", whole, duration_ms / 1000, 1.0))
    assert examples[0].start_s == 0
    assert -1e-3 < duration_ms / 1000 - examples[-1].end_s < 0.2 + 1e-3  # a rest of less is no window
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(examples))
    kept_s = sum(t.span.duration_s for e in examples for t in e.truth)
    lost_s = sum(t.span.duration_s for t in whole.truth or ()) - kept_s
    assert -1e-3 < lost_s <= duration_ms / 1000 - examples[-1].end_s + 1e-3
    (locate,) = (e for e in whole_examples("set", whole, duration_ms / 1000) if e.task == "locate")
    found = parse_located(locate.answer, EXPLICIT)
    assert found is not None
    assert len(found) == len(whole.truth or ())
