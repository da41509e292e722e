"""Readers: the true labels and sources of each set's rows, and errors that name file, line and form."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisila.data.clips.folds import folds, footage_groups
from omnisila.data.clips.manifest import data_root
from omnisila.data.readers import emotion_faces, read_set, read_sets, set_names
from omnisila.errors import DataSetError
from omnisila.schema import Span

WriteSet = Callable[..., Path]


def test_a_reader_file_is_a_data_set():
    assert {"fight_surv", "shoplifting_mnnit", "emotion_faces", "traffic_accident", "traffic_seq", "fire_smoke",
            "robbery_weapon", "vandalism_graffiti", "misc_demo", "normal_cctv"} <= set(set_names())  # fmt: skip


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
    first, second = read_set(root, name).clips
    assert (first.labels, second.labels) == ({"implicit": label}, {"implicit": "Normal"})
    assert first.is_still is still
    assert first.file(root).is_file()
    assert not set(first.sources) & set(second.sources)


def test_faces_with_unclear_sentiment_are_left_out_and_counted(write_set: WriteSet):
    root = write_set("emotion_faces", [("a.jpg", "surprise", "p1")], sentiment="ambiguous")
    reading = read_sets(root, ["emotion_faces"])
    assert reading.clips == ()
    assert reading.dropped == {"emotion_faces: sentiment of surprise is ambiguous": 1}


def test_faces_are_read_by_emotion_and_unknown_ones_are_named(write_set: WriteSet):
    root = write_set("emotion_faces", [("a.jpg", "surprise", "p1"), ("b.jpg", "anger", "p2")], sentiment="negative")
    surprised, angry = emotion_faces.faces(root)
    assert (surprised.reaction, surprised.clip.labels["reaction"]) == ("Surprise", "Surprise")
    assert (angry.emotion, angry.reaction) == ("anger", None)
    assert "reaction" not in angry.clip.labels
    root = write_set("emotion_faces", [("a.jpg", "joy", "p1")])
    with pytest.raises(DataSetError, match=r"manifest\.csv, line 2: column label says 'joy'"):
        emotion_faces.faces(root)


def test_a_frame_and_the_clip_of_its_video_are_one_group(write_set: WriteSet):
    frames = [("Normal/accident_test16_5_de68bc.jpg", "Normal", "accident:test15_1"),
              ("Normal/accident_test15_2_de68bd.jpg", "Normal", "accident:test15_1"),
              ("Normal/accident_test4_2__de68be.jpg", "Normal", "accident:test4_1")]  # fmt: skip
    root = write_set("traffic_accident", frames)
    write_set("traffic_seq", [("a/test16.mp4", "TrafficAccident", "test16")])
    (root / "traffic_seq/events.csv").write_text(
        "file,label,start_s,end_s\na/test16.mp4,TrafficAccident,0.5,1.5\na/test16.mp4,TrafficAccident,3,4\n"
    )
    clips = read_sets(root, ["traffic_accident", "traffic_seq"]).clips
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
        ("FireSmoke,g1,CC BY 4.0", "FireSmoke", r"line 2: the row is cut short\. Wanted: 4 fields"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(write_set: WriteSet, old: str, new: str, said: str):
    root = write_set("fire_smoke", [("a.jpg", "FireSmoke", "g1")])
    table = root / "fire_smoke/manifest.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DataSetError, match=said):
        read_set(root, "fire_smoke")


def test_an_event_that_ends_before_it_starts_is_refused(write_set: WriteSet):
    root = write_set("traffic_seq", [("a.mp4", "TrafficAccident", "v")])
    (root / "traffic_seq/events.csv").write_text("file,label,start_s,end_s\na.mp4,TrafficAccident,2,1\n")
    with pytest.raises(DataSetError, match=r"events\.csv, line 2: the event runs from 2\.0 to 1\.0 s"):
        read_set(root, "traffic_seq")


def test_missing_sets_and_readers_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataSetError, match=r"manifest\.csv: no such file\. Put the data set fire_smoke there"):
        read_set(tmp_path, "fire_smoke")
    with pytest.raises(DataSetError, match="no reader for data set 'nope'"):
        read_set(tmp_path, "nope")
    monkeypatch.delenv("OMNISILA_DATA", raising=False)
    with pytest.raises(DataSetError, match="OMNISILA_DATA is not set"):
        data_root()
    monkeypatch.setenv("OMNISILA_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataSetError, match="no such folder"):
        data_root()


@pytest.mark.data
@pytest.mark.skipif(not os.environ.get("OMNISILA_DATA"), reason="OMNISILA_DATA is not set")
def test_the_real_sets_read_whole_and_split_by_footage():
    reading = read_sets(data_root())
    counts = Counter((clip.set_name, clip.labels["implicit"]) for clip in reading.clips)
    assert counts["fight_surv", "Fighting"] == 105
    assert counts["shoplifting_mnnit", "Theft"] == 127
    assert reading.dropped == {"emotion_faces: sentiment of surprise is ambiguous": 251}
    fold_of = folds(reading.clips)
    side: dict[str, set[int]] = {}
    for clip, fold in zip(reading.clips, fold_of, strict=True):
        for source in clip.sources:
            side.setdefault(source, set()).add(fold)
    assert all(len(held_out) == 1 for held_out in side.values())
