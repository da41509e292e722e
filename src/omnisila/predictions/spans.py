"""Spans of videos, from any file, as answers to the examples of these videos.

Nothing is guessed and nothing dropped: a video among whose spans one does not run forward in time is kept raw with
``parse_ok`` false, and counts as malformed. Spans are a complete statement: where a file has none of a video, its
system found nothing there.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from omnisila.data.instructions import Located, render_label
from omnisila.data.preparation.video_examples import label_over, longest_label, overlap_s
from omnisila.files import printable
from omnisila.inference.inputs import VIDEO_SUFFIXES
from omnisila.inference.parsed_answers import located_findings
from omnisila.labels import LabelSet, label_set
from omnisila.predictions.places import Place
from omnisila.schema import Example, Finding, Prediction, Span, Truth
from omnisila.systems import SpanRow, System, window_ids


class StatedSpan(NamedTuple):
    """One span of a file, as it stands there; ``labels`` is its label set, where the file says so."""

    place: Place
    times_s: tuple[float, float]
    label: str
    score: float = 1.0
    labels: str | None = None
    cause: str | None = None

    @property
    def is_forward(self) -> bool:
        return 0 <= self.times_s[0] < self.times_s[1] < math.inf

    def reportable(self, labels: LabelSet) -> str | None:
        """The label of the set that the span carries; None where it is the quiet one or of another set."""
        label = labels.find_label(self.label) if self.labels in (None, labels.name) else None
        return label if label in labels.reportable else None


class VideoNames:
    """The examples' videos by the names that other tools may give them: path, name, or either without the ending.

    Names are compared as our own files show them.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._named: dict[str, set[str]] = defaultdict(set)
        for text in sorted(self._paths):
            path = PurePosixPath(text)
            for name in map(printable, (path, path.name, path.stem, path.with_suffix(""))):
                self._named[name].add(text)

    def find(self, name: str, place: Place) -> str | None:
        """The video that a name means, or None.

        Raises:
            RecordError: it may mean several.
        """
        if name in self._paths:
            return name
        path = PurePosixPath(printable(name).replace("\\", "/"))
        ends = ("/".join(path.parts[first:]) for first in range(len(path.parts)))
        if (end := next((end for end in ends if end in self._paths), None)) is not None:
            return end  # a path from further up
        stem = path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name
        named = (self._named.get(known) for known in (str(path), path.name, stem))
        fitting = sorted(next(filter(None, named), ()))
        if len(fitting) > 1:
            raise place.error(f"video {name!r} may be {' or '.join(fitting[:3])}; name it by its path")
        return fitting[0] if fitting else None


def answer_by_spans(
    stated: Sequence[tuple[str, Sequence[StatedSpan]]],
    system: str,
    examples: Sequence[Example],
    others: Iterable[Example],
    place: Place,
) -> System:
    """Answers to the locate and identify examples of all videos, and the spans that are of none of them.

    A window is answered by the label whose spans cover at least half of it, a whole video by the label that covers most
    time, as ``prepare`` makes their true answers. Each label set's examples get the spans with a label of that set, by
    its own or its published name; quiet labels (Normal, neutral) are no findings.

    Args:
        stated: names of videos with their spans; a name may stand several times.
        others: examples that are not asked now; spans of their videos are passed over.

    Raises:
        RecordError: nothing asks to locate, a score is no probability, a label is in none of the label sets asked
            about, or a video's name fits several.
    """
    label_sets = tuple(dict.fromkeys(example.labels for example in examples if example.task == "locate"))
    if not label_sets:
        raise place.error("spans, but no example asks to locate anything; prepare locate examples")
    asked = dict.fromkeys(example.video for example in examples)
    videos, elsewhere = VideoNames(asked), VideoNames(example.video for example in others)
    video_of = {name: videos.find(name, place) for name in dict.fromkeys(name for name, _ in stated)}
    strangers = tuple(name for name, video in video_of.items() if video is None and not elsewhere.find(name, place))
    said: dict[str, list[StatedSpan]] = {video: [] for video in asked}
    strays: dict[str, list[SpanRow]] = {name: [] for name in label_sets}
    for name, span in ((name, span) for name, spans in stated for span in spans):
        if span.labels is not None and span.labels not in label_sets:
            continue  # of a label set that nothing was asked about
        if all(label_set(known).find_label(span.label) is None for known in label_sets):
            raise span.place.error(f"label {span.label!r} is in none of the label sets {', '.join(label_sets)}")
        if not 0 <= span.score <= 1:
            raise span.place.error(f"score {span.score:g}; map scores into [0, 1] in a way that keeps their order")
        video = video_of[name]
        if video is not None:
            said[video].append(span)
        if name in strangers or (video is not None and not span.is_forward):
            for known in label_sets:
                if label := span.reportable(label_set(known)):
                    strays[known].append(SpanRow(video or name, label, *span.times_s, span.score))
    windows = window_ids(examples)
    predictions = (
        _locate(example, said[example.video], system)
        if example.task == "locate"
        else _identify(example, said[example.video], example.id in windows, system)
        for example in examples
        if example.labels in label_sets and example.task in ("locate", "identify")
    )
    unmentioned = tuple(video for video in asked if video not in video_of.values())
    return System(system, tuple(predictions), strangers, strays=strays, unmentioned=unmentioned)


def _locate(example: Example, spans: Sequence[StatedSpan], system: str) -> Prediction:
    findings = _findings(example, spans)
    mine = [(label, span) for span in spans if (label := span.reportable(label_set(example.labels))) is not None]
    raw = [{"label": label, "score": span.score, "segment": span.times_s} for label, span in mine]
    answer = json.dumps(raw, ensure_ascii=False)
    complete = len(findings) == len(mine)
    return Prediction(example_id=example.id, system=system, answer=answer, findings=findings, parse_ok=complete)


def _identify(example: Example, spans: Sequence[StatedSpan], is_window: bool, system: str) -> Prediction:
    """The label that spans give a stretch of time, with the best of its spans' scores."""
    labels, whole = label_set(example.labels), Span(start_s=example.start_s, end_s=example.end_s)
    found = _findings(example, spans)
    over = label_over if is_window else longest_label
    label = over([Truth(span=event.span, label=event.label) for event in found], whole, labels.quiet or "")
    scores = [event.score for event in found if event.label == label and overlap_s(event.span, whole) > 0]
    findings = located_findings([Located(label, whole)], labels.name, max(scores)) if scores else ()
    return Prediction(example_id=example.id, system=system, answer=render_label(label), findings=findings)


def _findings(example: Example, spans: Sequence[StatedSpan]) -> tuple[Finding, ...]:
    """The spans of the example's label set that run forward."""
    return tuple(
        Finding(
            span=Span(start_s=span.times_s[0], end_s=span.times_s[1]),
            label=label,
            labels=example.labels,
            score=span.score,
            cause=span.cause or None,
        )
        for span in spans
        if span.is_forward and (label := span.reportable(label_set(example.labels))) is not None
    )
