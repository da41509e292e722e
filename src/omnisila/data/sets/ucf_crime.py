"""UCF-Crime: surveillance footage of 13 kinds of anomaly; times for the test half, one label a video for training.

Address: https://www.crcv.ucf.edu/projects/real-world/ (Sultani, Chen and Shah, CVPR 2018)
Licence: none stated by its authors; research use.
A record of Temporal_Anomaly_Annotation.txt (video, class, two pairs of frame numbers at 30 a second, -1 for none):
    Vandalism017_x264  Vandalism  270  330  780  840
and of Anomaly_Train.txt:
    Abuse/Abuse001_x264.mp4
Frame n is taken to stand at n / 30 s. Calm training videos have no events; anomalous ones have events whose times
are unknown, and their class as ``video_label``.
"""

from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.annotation_files import Row, check_new, read_words
from omnisila.data.sets import BY_EXAMPLES, DataSet
from omnisila.data.sets._events import footage_path, in_time_order, make_event
from omnisila.errors import DataSetError
from omnisila.labels import ANOMALY

RATE_HZ = 30.0
LABELS = {**ANOMALY.published, **{label: label for label in ANOMALY.labels if label != "Accident"}}
TEST_FORM = "video, class, start, end, start, end: frame numbers, -1 for none"
TRAIN_FORM = "Class/Name_x264.mp4"
TRAIN_NORMAL = "Training_Normal_Videos_Anomaly"
TEST_NORMAL = "Testing_Normal_Videos_Anomaly"


def read(folder: Path) -> AnnotatedSet:
    """The videos of the lists that are there: the test half with times, the training half with labels."""
    test, train = folder / "Temporal_Anomaly_Annotation.txt", folder / "Anomaly_Train.txt"
    if not test.exists() and not train.exists():
        raise DataSetError(f"{folder}: neither {test.name} nor {train.name} is there. Put one or both there.")
    videos: dict[str, AnnotatedVideo] = {}
    for path, form, make_video in ((test, TEST_FORM, _test_video), (train, TRAIN_FORM, _training_video)):
        for row, words in read_words(path, form) if path.exists() else ():
            video = make_video(row, words)
            check_new(row, videos, video.id)
            videos[video.id] = video
    return AnnotatedSet(videos=tuple(videos.values()))


def _test_video(row: Row, words: list[str]) -> AnnotatedVideo:
    if len(words) != 6:
        raise row.error(f"{len(words)} fields", TEST_FORM)
    name, kind = words[0].removesuffix(".mp4"), words[1]
    label = _label(row, kind)
    try:
        frames = [int(word) for word in words[2:]]
    except ValueError:
        raise row.error(f"frames {' '.join(words[2:])}", TEST_FORM) from None
    pairs = [pair for pair in (frames[:2], frames[2:]) if pair != [-1, -1]]
    events = [make_event(row, start / RATE_HZ, end / RATE_HZ, label) for start, end in pairs]
    if bool(events) == (label == ANOMALY.quiet):
        raise row.error(f"class {kind} with {len(events)} events", "events where, and only where, it is not Normal")
    return AnnotatedVideo(
        id=name,
        path=footage_path(row, f"{TEST_NORMAL if label == ANOMALY.quiet else kind}/{name}.mp4"),
        labels={ANOMALY.name: None},
        truth=in_time_order(events),
        split="test",
        sources=(name,),
    )


def _training_video(row: Row, words: list[str]) -> AnnotatedVideo:
    kind, slash, file = words[0].partition("/")
    if len(words) != 1 or not slash or not file.endswith(".mp4"):
        raise row.error(" ".join(words), TRAIN_FORM)
    is_calm = kind == TRAIN_NORMAL
    return AnnotatedVideo(
        id=file.removesuffix(".mp4"),
        path=footage_path(row, words[0]),
        labels={ANOMALY.name: None if is_calm else _label(row, kind)},
        truth=() if is_calm else None,
        split="train",
        sources=(file.removesuffix(".mp4"),),
    )


def _label(row: Row, kind: str) -> str:
    if kind not in LABELS:
        raise row.error(f"class {kind!r}", f"one of {', '.join(LABELS)}")
    return LABELS[kind]


SET = DataSet(read, untrained=BY_EXAMPLES)
