"""From sets to streams of examples: what is left out is said, splits hold, subsets are what their names say."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from omnisila.data.annotated import AnnotatedVideo, Described
from omnisila.data.preparation.durations import Durations, read_durations
from omnisila.data.preparation.example_files import write_examples
from omnisila.data.preparation.group_splits import Shares, check_disjoint, resplit
from omnisila.data.preparation.implicit_subsets import FaceFinder, Kept, read_segments, s_d, s_d_weak, s_s
from omnisila.data.preparation.left_out import LeftOut
from omnisila.data.preparation.preparing import described_examples, mix, video_examples
from omnisila.data.preparation.requests import Preparation, SetRequest, read_requested
from omnisila.data.preparation.sets import PreparedSet, prepare_set, write_muted
from omnisila.errors import DataSetError, InputError
from omnisila.labels import REACTION
from omnisila.media.video import sha256
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.schema import Example, Prediction, Span, Truth


def video(name: str = "v", **more: object) -> AnnotatedVideo:
    fields = {"id": name, "path": f"{name}.mp4", "labels": {"explicit": None}, "sources": (name,), **more}
    return AnnotatedVideo.model_validate(fields)


def events(*spans: tuple[float, float, str]) -> tuple[Truth, ...]:
    return tuple(Truth(span=Span(start_s=a, end_s=b), label=label) for a, b, label in spans)


def described(name: str, **more: object) -> Described:
    fields = {"id": name, "source": f"{name}.jpg", "medium": "image", "scene": "background", "text": "airfield",
              "split": "train", "group": name, **more}  # fmt: skip
    return Described.model_validate(fields)


def test_footage_gives_the_duration_and_missing_files_are_named(make_video: Callable[..., Path], tmp_path: Path):
    make_video("here.mp4", frames=36, rate_hz=12)
    left_out = LeftOut()
    kept = map(Kept, [video("here"), video("gone"), video("stated", duration_s=5.0)])
    examples = list(video_examples("set", kept, Durations(tmp_path, left_out), left_out, Preparation()))
    assert {e.video for e in examples} == {"here.mp4"}
    assert [e.end_s for e in examples if e.task == "locate"] == [pytest.approx(3.0)]
    assert left_out.lines() == (f"2 left out: footage missing in {tmp_path} (gone.mp4, stated.mp4)",)


def test_durations_from_a_table(tmp_path: Path):
    table = tmp_path / "durations.csv"
    table.write_text("video,duration_s\na/v.mp4,12.5\n")
    assert Durations(None, LeftOut(), read_durations(table)).of(video("v")) == 12.5
    table.write_text("video,duration_s\nv,long\n")
    with pytest.raises(DataSetError, match="line 2: column duration_s says 'long'"):
        read_durations(table)


@pytest.mark.parametrize("start_s", [5.0, 6.0])
def test_a_video_with_an_event_outside_it_is_left_out_whole(start_s: float):
    left_out = LeftOut()
    late = video(duration_s=5.0, truth=events((1, 2, "negative"), (start_s, 7, "negative")))
    fine = video("fine", duration_s=5.0, truth=events((1, 2, "negative")))
    examples = video_examples("set", map(Kept, [late, fine]), Durations(None, left_out), left_out, Preparation())
    assert {e.video for e in examples} == {"fine.mp4"}
    assert left_out.lines() == (f"1 left out: an event lies outside the video (v: negative at {start_s:g} s of 5 s)",)


def test_the_file_is_believed_over_a_stated_duration_which_is_told(make_video: Callable[..., Path], tmp_path: Path):
    make_video("long.mp4", frames=36, rate_hz=12)
    make_video("right.mp4", frames=36, rate_hz=12)
    left_out = LeftOut()
    kept = map(Kept, [video("long", duration_s=60.0), video("right", duration_s=3.05)])
    table = {"right": 99.0}
    examples = list(video_examples("set", kept, Durations(tmp_path, left_out, table), left_out, Preparation()))
    assert {e.end_s for e in examples if e.task == "locate"} == {3.0}
    assert left_out.lines() == (
        "1 changed: the file lasts otherwise than stated, and is believed (long.mp4: 60 s stated, 3 s in the file)",
    )
    identities = {e.video: e.video_sha256 for e in examples}
    assert identities == {name: sha256(tmp_path / name) for name in ("long.mp4", "right.mp4")}


def test_ids_that_stay_do_not_hide_that_the_question_changed(make_video: Callable[..., Path], tmp_path: Path):
    make_video("v.mp4", frames=48, rate_hz=12)

    def prepared(window_s: float, *spans: tuple[float, float, str]) -> dict[str, Example]:
        left_out = LeftOut()
        kept = [Kept(video(truth=events(*spans)))]
        durations = Durations(tmp_path, left_out)
        return {e.id: e for e in video_examples("set", kept, durations, left_out, Preparation(window_s=window_s))}

    first, corrected, other = prepared(1.0, (1, 2, "negative")), prepared(1.0, (0, 3, "negative")), prepared(2.0)
    answers = [Prediction(example_id=e.id, example_digest=e.digest, system="s", answer="") for e in first.values()]
    assert not any(one.is_stale(corrected[one.example_id]) for one in answers)
    stale = {one.example_id for one in answers if one.example_id in other and one.is_stale(other[one.example_id])}
    assert stale == {"set/v#0", "set/v#1"}
    make_video("v.mp4", frames=48, rate_hz=12, width_px=128)
    cut_again = prepared(1.0, (1, 2, "negative"))
    seen = [one.replace(video_sha256=first[one.example_id].video_sha256) for one in answers]
    assert all(one.is_stale(cut_again[one.example_id]) for one in seen)


def test_windows_are_missed_only_where_they_could_be():
    left_out = LeftOut()
    known = dict.fromkeys(REACTION.labels, 0.5)
    clips = [
        video("shown", labels={"reaction": None}, truth=None, duration_s=5.0, intensities=known),
        video("private", labels={"reaction": None}, truth=None, duration_s=5.0),
        video("weak", labels={"explicit": "negative"}, truth=None, duration_s=5.0),
    ]
    examples = list(video_examples("set", map(Kept, clips), Durations(None, left_out), left_out, Preparation()))
    assert [e.task for e in examples] == ["react", "identify"]
    assert sorted(left_out.lines()) == [
        "1 left out: no example, as the intensities are not known (private)",
        "1 left out: no windows, as the events' times are unknown (weak)",
    ]


def test_a_group_on_both_sides_is_an_error_and_can_be_split_again():
    videos = [video(f"v{i}", split="train" if i % 2 else "test", sources=(f"person {i // 2}",)) for i in range(400)]
    with pytest.raises(DataSetError, match=r"200 of 200 groups .* \(person 0 in test and train"):
        check_disjoint("set", videos)
    again = list(resplit(videos, Shares(val=0.25, test=0.25)))
    check_disjoint("set", again)
    shares = Counter(item.split for item in again)
    assert 60 < shares["test"] < 140
    assert 60 < shares["val"] < 140
    assert again == list(resplit(videos, Shares(val=0.25, test=0.25)))


def test_sets_are_mixed_evenly_and_capped():
    sets = {"many": [described(f"m{i}") for i in range(1000)], "few": [described(f"f{i}") for i in range(10)], "no": []}
    stream = [name for name, _ in mix(sets, cap=90)]
    assert Counter(stream) == {"many": 90, "few": 10}
    assert all(stream[start : start + 10].count("few") <= 2 for start in range(0, 91))
    assert Counter(name for name, _ in mix(sets, cap=None)) == {"many": 10, "few": 10}
    assert list(mix(sets, 90, seed=1)) == list(mix(sets, 90, seed=1)) != list(mix(sets, 90, seed=2))
    assert len({item.id for _, item in mix(sets, 90)}) == 100


def test_descriptions_become_examples(make_video: Callable[..., Path], tmp_path: Path):
    make_video("clip.mp4", frames=24, rate_hz=12)
    for name in ("a.jpg", "x.jpg"):
        (tmp_path / name).touch()
    items = [described("a"), described("c", source="clip.mp4", medium="video", scene="face", split="test"),
             described("x", text=" ; "), described("y", source="y.mp4", medium="video")]  # fmt: skip
    left_out = LeftOut()
    found = list(described_examples({"set": items}, Durations(tmp_path, left_out), left_out, Preparation()))
    assert [(e.id, e.labels, e.instruction, e.answer, e.end_s) for e in found] == [
        ("set/a", "background", "Please describe the background.", "airfield", 1.0),
        ("set/c", "face", "Please describe the facial.", "airfield", pytest.approx(2.0)),
    ]
    assert left_out.counts.total() == 2


def test_s_s_keeps_negative_events_without_faces():
    left_out = LeftOut()
    whole = video(duration_s=20.0, truth=events((0, 2, "positive"), (4, 6, "negative"), (10, 12, "negative")))
    kept = list(s_s([whole], lambda _, span: span.start_s == 10, left_out))
    assert [t.span.start_s for t in kept[0].video.truth or ()] == [4]
    assert left_out.counts == {"a face shows in the event": 1}
    examples = list(video_examples("s-s", kept, Durations(None, left_out), left_out, Preparation()))
    assert {e.task for e in examples} == {"identify"}
    assert len(examples) == 18
    assert [e.start_s for e in examples if e.answer != "neutral"] == [4, 5]


def test_one_unreadable_video_does_not_stop_s_s(make_bad_file: Callable[[str, str], Path], tmp_path: Path):
    make_bad_file("bad.mp4", "text")
    left_out = LeftOut()
    finder = FaceFinder(MTCNN.pretrained(), tmp_path)
    videos = [video("bad", truth=events((1, 2, "negative"))), video("quiet")]
    assert [item.video.id for item in s_s(videos, finder, left_out)] == ["quiet"]
    assert left_out.counts == {"footage cannot be read": 1}


def test_a_face_in_the_footage_is_found(make_video: Callable[..., Path], tmp_path: Path):
    portrait = Path(__file__).parents[3] / "demo/portrait.mp4"
    make_video("plain.mp4")
    span = Span(start_s=0.0, end_s=1.0)
    finder = FaceFinder(MTCNN.pretrained(), tmp_path, frames=2)
    assert not finder(video("plain"), span)
    if not portrait.is_file():
        pytest.skip("the demo's portrait is not there")
    assert FaceFinder(MTCNN.pretrained(), portrait.parent, frames=2)(video("portrait"), span)


def test_s_d_takes_the_users_segments_or_is_called_weak(tmp_path: Path):
    table = tmp_path / "segments.csv"
    table.write_text("video,start_s,end_s\nArson/v.mp4,3,5\nv,1,2\nAnson/z.mp4,1,2\nk,1,2\n")
    segments = read_segments(table)
    untimed = [video(n, labels={"anomaly": "Arson"}, truth=None, duration_s=9.0) for n in ("v", "w")]
    known = video("k", labels={"anomaly": None})
    left_out = LeftOut()
    found = [item.video for item in s_d([*untimed, known], segments, left_out)]
    assert [v.id for v in found] == ["v", "k"]
    assert [(t.span.start_s, t.span.end_s, t.label) for t in found[0].truth or ()] == [(1, 2, "Arson"), (3, 5, "Arson")]
    assert left_out.lines() == (
        "1 left out: no segment given for an anomaly of unknown time (w.mp4)",
        "1 left out: segments of no video of the set (z)",
    )
    weak = [item.video for item in s_d_weak([*untimed, known], Durations(None, left_out))]
    assert [[t.span.end_s for t in v.truth or ()] for v in weak] == [[9.0], [9.0], []]
    table.write_text("video,start_s,end_s\nv,5,3\n")
    with pytest.raises(DataSetError, match=r"segments.csv, line 2: an event's times are '5-3'"):
        read_segments(table)
    table.write_text("start_s,end_s,video\n1,2\n")
    with pytest.raises(DataSetError, match=r"segments.csv, line 2: 2 fields, the header has 3"):
        read_segments(table)


def test_muted_footage_has_the_same_pictures_and_no_sound(make_video: Callable[..., Path], tmp_path: Path):
    source = make_video("loud.mp4", audio_s=2.0)
    write_muted(source, tmp_path / "out/loud.mp4")
    with av.open(str(source)) as before, av.open(str(tmp_path / "out/loud.mp4")) as after:
        assert before.streams.audio
        assert not after.streams.audio
        pictures = [[frame.to_ndarray().tobytes() for frame in file.decode(video=0)] for file in (before, after)]
    assert pictures[0] == pictures[1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["loud.mp4"]


def some_examples() -> list[Example]:
    left_out = LeftOut()
    intensities = dict.fromkeys(
        ("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic Pain", "Fear", "Surprise"), 0.125
    )
    kept = map(
        Kept,
        [
            video("ä", duration_s=3.0, truth=events((1, 2, "negative"))),
            video("r", labels={"reaction": None}, intensities=intensities, duration_s=2.0, split="test"),
        ],
    )
    return list(video_examples("set", kept, Durations(None, left_out), left_out, Preparation()))


def test_every_format_holds_the_same_examples(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    examples = some_examples()
    counts = write_examples(iter(examples), tmp_path, ("jsonl", "llava", "parquet"))
    assert counts == {("train", "identify"): 4, ("train", "locate"): 1, ("test", "react"): 1}
    lines = (tmp_path / "examples.jsonl").read_text().splitlines()
    assert [Example.model_validate_json(line) for line in lines] == examples
    rows = parquet.read_table(tmp_path / "examples.parquet").to_pylist(maps_as_pydicts="strict")
    assert [Example.model_validate(row) for row in rows] == examples
    talks = json.loads((tmp_path / "llava_train.json").read_text())
    assert [talk["id"] for talk in talks] == [e.id for e in examples if e.split == "train"]
    assert talks[0]["conversations"][0] == {"from": "human", "value": f"<video>\n{examples[0].instruction}"}
    assert len(json.loads((tmp_path / "llava_test.json").read_text())) == 1


def test_a_run_that_fails_leaves_the_old_files(tmp_path: Path):
    write_examples(some_examples(), tmp_path, ("jsonl", "llava"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken():
        yield from some_examples()
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_examples(broken(), tmp_path, ("jsonl", "llava"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(InputError, match="format 'xml' does not exist"):
        write_examples([], tmp_path, ("xml",))


def requested(**fields: Any) -> PreparedSet:
    request = SetRequest(**fields)
    return prepare_set(request, read_requested(request), Preparation())


def test_footage_sets_are_prepared_too(write_set: Callable[..., Path], tmp_path: Path):
    root = write_set("fire_smoke", [(f"{i}.jpg", "FireSmoke" if i % 2 else "Normal", f"g{i // 2}") for i in range(20)])
    ready = requested(name="fire_smoke", folder=root / "fire_smoke", out=tmp_path / "out")
    examples = list(ready.examples)
    windows = [e for e in examples if e.id.endswith("#0")]
    assert Counter(e.answer for e in windows) == {"Fire": 10, "Normal": 10}
    assert {e.video for e in windows} == {f"fire_smoke/{i}.jpg" for i in range(20)}
    splits: dict[str, set[str]] = {}
    for e in examples:
        splits.setdefault(e.group, set()).add(e.split)
    assert all(len(found) == 1 for found in splits.values())


def test_wrong_requests_are_named(tmp_path: Path):
    for change, told in (({"name": "nope"}, "data set 'nope' does not exist"),
                         ({"subset": "s-s"}, "Give --footage"), ({"segments": tmp_path}, "--subset s-d"),
                         ({"name": "scene-tuning"}, "no folder of a set")):  # fmt: skip
        fields = {"name": "tsl300", "folder": tmp_path, "out": tmp_path, **change}
        with pytest.raises(InputError, match=told):
            read_requested(SetRequest.model_validate(fields))


def test_checked_causes_become_attribute_examples(tmp_path: Path):
    database = {"a": {"subset": "train", "annotations": [{"segment": ["1", "2"], "label": "n"}]}}
    (tmp_path / "videosenti_gt.json").write_text(json.dumps({"database": database}))
    (tmp_path / "len_duration_dict.json").write_text('{"a": 4.0}')
    table = tmp_path / "causes.csv"
    row = "tsl300/{}#1000-2000-negative,a.mp4,1,2,explicit,negative,a man shouts,{},\n"
    header = "id,video,start_s,end_s,labels,label,cause,verdict,adjusted\n"
    table.write_text(header + row.format("a", "accept") + row.format("b", "accept") + row.format("c", ""))
    ready = requested(name="tsl300", folder=tmp_path, out=tmp_path, causes=table)
    assert [example.answer for example in ready.examples if example.task == "attribute"] == ["a man shouts"]
    assert ready.left_out.lines() == (
        "1 left out: cause nobody checked (tsl300/c#1000-2000-negative)",
        "1 left out: checked cause of no span (tsl300/b#1000-2000-negative)",
    )


@pytest.mark.data
@pytest.mark.skipif(not os.environ.get("OMNISILA_DATA"), reason="OMNISILA_DATA is not set")
def test_tsl300_gives_the_papers_clip_counts(tmp_path: Path):
    folder = Path(os.environ["OMNISILA_DATA"]) / "annotations/tsl300"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    ready = requested(name="tsl300", folder=folder, out=tmp_path)
    counts = Counter((e.split, e.task, e.id.rpartition("#")[2].isdecimal()) for e in ready.examples)
    # Omni-SILA 4.1 prints 52 K and 25 K; the last window of each video may be short
    assert round(counts["train", "identify", True], -3) == 52_000
    assert round(counts["test", "identify", True], -3) == 25_000
    assert (counts["train", "locate", False], counts["test", "locate", False]) == (200, 100)
