"""HIVAU-70k: descriptions and analyses of the anomalies in UCF-Crime and XD-Violence, by event and by video.

Address: https://github.com/pipixin321/HolmesVAU (Zhang et al., CVPR 2025), folder HIVAU-70k/raw_annotations
Licence: MIT for the annotations; the videos are those of UCF-Crime and XD-Violence.
A record of ucf_database_test.json, cut to the fields that are read:
    "Abuse028_x264": {"n_frames": 1412, "fps": 30.0, "label": ["Abuse"], "events": [[5.5, 8.0]],
        "events_summary_split": [{"judgement": "...", "description": "The anomaly event is the postman beating ...",
            "analysis": "That the intentional infliction of pain ..."}],
        "video_summary": "An anomaly exists ..."}
An event's cause is its description and analysis; a video's note is its summary. A video without a label is calm: the
events listed for it are ordinary ones and are no truth. Where one event stands twice, with the same start and an end
within 0.1 s, the one that ends later (often past the last frame) is left out and listed as malformed.
"""

from pathlib import Path

from pydantic import TypeAdapter

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed, Split
from omnisila.data.annotation_files import Entry, Row, Stated, check_new, read_json
from omnisila.data.sets import BY_EXAMPLES, DataSet, ucf_crime, xd_violence
from omnisila.data.sets._events import footage_path, in_time_order, make_event
from omnisila.errors import DataSetError
from omnisila.files import files_below
from omnisila.labels import ANOMALY
from omnisila.schema import Truth

TWIN_S = 0.1  # an event that stands twice begins alike and ends within this
FORM = '{video: {"n_frames", "fps", "label": [class], "events": [[s, s]], "events_summary_split", "video_summary"}}'
SPLITS: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
FOOTAGE = {"ucf": "ucf-crime/videos", "xdviolence": "xd-violence/videos"}
LABELS = {**xd_violence.LABELS, **ucf_crime.LABELS}


class _Summary(Stated):
    judgement: str = ""
    description: str = ""
    analysis: str = ""

    @property
    def cause(self) -> str | None:
        """What is seen and why it counts."""
        parts = [part.strip().rstrip(".") for part in (self.description, self.analysis)]
        return " ".join(f"{part}." for part in parts if part) or None


class _Video(Stated):
    n_frames: int
    fps: float
    label: tuple[str, ...]
    events: tuple[tuple[float, float], ...]
    events_summary_split: tuple[_Summary, ...]
    video_summary: str


def read(folder: Path) -> AnnotatedSet:
    """The videos of every ``<source>_database_<split>.json`` in the folder or below."""
    files = [path for path in files_below(folder, ".json") if "_database_" in path.name]
    if not files:
        raise DataSetError(f"{folder}: no <source>_database_<split>.json in it. Put HIVAU-70k/raw_annotations there.")
    videos: dict[str, AnnotatedVideo] = {}
    malformed: list[Malformed] = []
    for path in files:
        source, split = _source_and_split(path)
        database, text = read_json(path, TypeAdapter(dict[str, _Video]).validate_python, FORM)
        for name, stated in database.items():
            entry = Entry(path, text, name)
            check_new(entry, videos, name)
            reason = _unreadable(stated)
            if reason:
                malformed.append(_left_out(entry, reason))
                continue
            events, twins = _events(entry, stated)
            malformed.extend(twins)
            if stated.fps <= 0 or stated.n_frames < 0:
                raise entry.error(f"{stated.n_frames} frames at {stated.fps} a second", "numbers above 0")
            videos[name] = AnnotatedVideo(
                id=name,
                path=footage_path(entry, f"{FOOTAGE[source]}/{split}/{name}.mp4"),
                labels={ANOMALY.name: None},
                truth=events,
                duration_s=stated.n_frames / stated.fps,
                split=split,
                sources=(name.partition("__#")[0],),
                note=stated.video_summary or None,
            )
    return AnnotatedSet(videos=tuple(videos.values()), malformed=tuple(malformed))


def _source_and_split(path: Path) -> tuple[str, Split]:
    source, _, word = path.stem.rpartition("_database_")
    if source not in FOOTAGE or word not in SPLITS:
        raise Row(path, 1, {}).error(
            f"the file is of {source!r}, split {word!r}",
            f"<source>_database_<split>.json with one of {', '.join(FOOTAGE)} and one of {', '.join(SPLITS)}",
        )
    return source, SPLITS[word]


def _unreadable(stated: _Video) -> str | None:
    classes = set(stated.label) - {ANOMALY.quiet}
    if len(classes) > 1:
        return f"classes {', '.join(sorted(classes))}, and not which event is which. Wanted: one class."
    if classes - set(LABELS):
        return f"class {classes.pop()!r}. Wanted: one of {', '.join(LABELS)}."
    if classes and not stated.events:
        return "a class and no event. Wanted: the events of the class."
    if len(stated.events) != len(stated.events_summary_split):
        return f"{len(stated.events)} events, {len(stated.events_summary_split)} summaries. Wanted: one for each."
    return None


def _events(entry: Entry, stated: _Video) -> tuple[tuple[Truth, ...], list[Malformed]]:
    classes = set(stated.label) - {ANOMALY.quiet}
    if not classes:
        return (), []
    label = LABELS[classes.pop()]
    events = in_time_order(
        make_event(entry, *times_s, label, summary.cause)
        for times_s, summary in zip(stated.events, stated.events_summary_split, strict=True)
    )
    kept: list[Truth] = []
    twins: list[Malformed] = []
    for event in events:
        span = event.span
        if kept and kept[-1].span.start_s == span.start_s and round(span.end_s - kept[-1].span.end_s, 3) <= TWIN_S:
            twins.append(_left_out(entry, f"event {span.start_s}-{span.end_s} s stands twice. Wanted: it once."))
        else:
            kept.append(event)
    return tuple(kept), twins


def _left_out(entry: Entry, reason: str) -> Malformed:
    return Malformed(file=entry.file.name, line=entry.line, reason=f"{entry.key}: {reason}")


SET = DataSet(read, untrained=BY_EXAMPLES)
