"""Readers: the true labels and sources of each set's rows, and errors that name file, line and form."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisila.data.clips.folds import folds, footage_groups
from omnisila.data.sets import footage_sets, read_footage, read_set
from omnisila.data.sets._footage import data_root
from omnisila.errors import DataSetError
from omnisila.schema import Span

WriteSet = Callable[..., Path]


def test_a_reader_file_is_a_data_set():
    assert {"fight_surv", "shoplifting_mnnit", "emotion_faces", "traffic_accident", "accident_seq", "fire_smoke",
            "robbery_weapon", "vandalism_graffiti", "misc_demo", "normal_cctv", "incidents",
            "falls"} <= set(footage_sets())  # fmt: skip


@pytest.mark.parametrize(
    ("name", "word", "label", "still"),
    [
        ("fight_surv", "Fighting", "Fighting", False),
        ("shoplifting_mnnit", "Shoplifting", "Theft", False),
        ("fire_smoke", "FireSmoke", "Fire", True),
        ("robbery_weapon", "RobberyWeapon", "Robbery", True),
        ("vandalism_graffiti", "Graffiti", "Vandalism", True),
        ("misc_demo", "Normal", "Normal", False),
        ("normal_cctv", "Normal", "Normal", False),
    ],
)
def test_words_of_a_set_become_implicit_labels(write_set: WriteSet, name: str, word: str, label: str, still: bool):
    root = write_set(name, [("x/a.bin", word, "g1"), ("x/b.bin", "Normal", "g2")])
    first, second = read_set(name, root).videos
    assert (first.labels, second.labels) == ({"implicit": label}, {"implicit": "Normal"})
    assert first.is_still is still
    assert first.file(root).is_file()
    assert not set(first.sources) & set(second.sources)


def test_faces_with_unclear_sentiment_are_left_out_and_counted(write_set: WriteSet):
    root = write_set("emotion_faces", [("a.jpg", "surprise", "p1")], sentiment="ambiguous")
    reading = read_footage(root, ["emotion_faces"])
    assert reading.videos == ()
    assert [row.reason for row in reading.malformed] == ["sentiment of surprise is ambiguous (1)"]


def test_a_frame_and_the_clip_of_its_video_are_one_group(write_set: WriteSet):
    frames = [("Normal/accident_test16_5_de68bc.jpg", "Normal", "accident:test15_1"),
              ("Normal/accident_test15_2_de68bd.jpg", "Normal", "accident:test15_1"),
              ("Normal/accident_test4_2__de68be.jpg", "Normal", "accident:test4_1")]  # fmt: skip
    root = write_set("traffic_accident", frames)
    write_set("accident_seq", [("test16.mp4", "TrafficAccident", "test16")], start_s="0.50;3.00", end_s="1.50;4.00")
    clips = read_footage(root, ["traffic_accident", "accident_seq"]).videos
    groups = footage_groups(clips)
    assert groups[0] == groups[1] == groups[3] != groups[2]
    sequence = clips[3]
    assert sequence.label_over("implicit", Span(start_s=0, end_s=1)) == "Traffic Accidents"
    assert sequence.label_over("implicit", Span(start_s=1.2, end_s=2.2)) == "Normal"
    assert sequence.label_over("implicit", Span(start_s=1.0, end_s=4.0)) == "Traffic Accidents"
    assert sequence.label_over("explicit", Span(start_s=0, end_s=1)) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "FireSmoke",
            "Flood",
            r"fire_smoke/manifest\.csv, line 2: column label says 'Flood'\. Wanted: one of FireSmoke",
        ),
        ("a.jpg", "gone.jpg", r"line 2: names 'gone\.jpg', which is not in"),
        ("a.jpg", "../a.jpg", r"line 2: names '\.\./a\.jpg'"),
        (",g1,", ",,", r"line 2: column group is empty"),
        ("file,label,group,licence", "file,label,licence,x", r"line 1: no column group \(found: file, label"),
        ("FireSmoke,g1,CC BY 4.0", "FireSmoke", r"line 2: 2 fields, the header has 4"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(write_set: WriteSet, old: str, new: str, said: str):
    root = write_set("fire_smoke", [("a.jpg", "FireSmoke", "g1")])
    table = root / "fire_smoke/manifest.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DataSetError, match=said):
        read_set("fire_smoke", root)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [("2", "1", "2-1"), ("0;4", "1", "4-"), ("", "", "-"), ("soon", "1", "soon-1"), ("-1", "1", "-1-1")],
)
def test_an_event_without_a_time_that_runs_forward_is_refused(write_set: WriteSet, start: str, end: str, said: str):
    root = write_set("accident_seq", [("a.mp4", "TrafficAccident", "v")], start_s=start, end_s=end)
    with pytest.raises(DataSetError, match=rf"manifest\.csv, line 2: an event's times are '{said}'"):
        read_set("accident_seq", root)


def test_clips_of_one_camera_are_one_group_in_whatever_sets_they_stand(write_set: WriteSet):
    names = ("5", "acc1", "test14", "test23", "test")
    root = write_set("accident_seq", [(f"{name}.mp4", "Normal", name) for name in names], start_s="", end_s="")
    write_set("incidents", [("a.mp4", "Normal", "test"), ("b.mp4", "Normal", "5")], events="")
    groups = footage_groups(read_footage(root, ["accident_seq", "incidents"]).videos)
    assert groups[0] == groups[1] != groups[2] == groups[3] != groups[4] == groups[5] != groups[0]
    assert groups[6] not in groups[:6]  # what is called 5 there is other footage


def test_incidents_happen_when_the_table_says_and_falls_are_no_event(write_set: WriteSet):
    root = write_set("incidents", [("a.mp4", "Fire", "g"), ("b.mp4", "Accident", "h")], events="1.5-3;6-8")
    fire, accident = read_set("incidents", root).videos
    assert fire.labels == {"implicit": "Fire"}
    assert [event.span for event in fire.truth or ()] == [Span(start_s=1.5, end_s=3), Span(start_s=6, end_s=8)]
    assert accident.labels == {"anomaly": "Accident"}  # of work, not of traffic
    root = write_set("falls", [("Fall/a.mp4", "Fall", "p"), ("Normal/b.mp4", "Normal", "p")])
    assert [clip.labels for clip in read_set("falls", root).videos] == [{"implicit": "Normal"}] * 2


def test_missing_sets_and_readers_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataSetError, match=r"no data set fire_smoke here"):
        read_set("fire_smoke", tmp_path)
    with pytest.raises(DataSetError, match=r"2 of 2 data sets are missing: falls, fire_smoke\. .*--partial"):
        read_footage(tmp_path, ["falls", "fire_smoke"])
    with pytest.raises(DataSetError, match="data set 'nope' does not exist"):
        read_set("nope", tmp_path)
    monkeypatch.delenv("OMNISILA_DATA", raising=False)
    with pytest.raises(DataSetError, match="OMNISILA_DATA is not set"):
        data_root()
    monkeypatch.setenv("OMNISILA_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataSetError, match="no such folder"):
        data_root()


@pytest.mark.data
@pytest.mark.skipif(not os.environ.get("OMNISILA_DATA"), reason="OMNISILA_DATA is not set")
def test_the_real_sets_read_whole_and_split_by_footage():
    reading = read_footage(data_root())
    counts = Counter((clip.set_name, clip.labels.get("implicit")) for clip in reading.videos)
    assert counts["fight_surv", "Fighting"] == 105
    assert counts["shoplifting_mnnit", "Theft"] == 127
    assert (counts["accident_seq", "Traffic Accidents"], counts["accident_seq", "Normal"]) == (19, 3)
    assert (counts["incidents", "Fighting"], counts["incidents", "Normal"], counts["falls", "Normal"]) == (8, 16, 23)
    assert [row.reason for row in reading.malformed] == ["sentiment of surprise is ambiguous (251)"]
    fold_of = folds(reading.videos)
    side: dict[str, set[int]] = {}
    for clip, fold in zip(reading.videos, fold_of, strict=True):
        for source in clip.sources:
            side.setdefault(source, set()).add(fold)
    assert all(len(held_out) == 1 for held_out in side.values())
