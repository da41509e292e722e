"""Readers of annotations on small files of the true form, and errors that name file, line and form."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.sets import read_set, set_names
from omnisila.errors import DataSetError, LabelError

TSL = {
    "9_CMU_MOSI_a": {
        "subset": "train",
        "annotations": [
            {"segment": ["5.5", "8"], "label": "n"},
            {"segment": ["1.25", "2"], "label": "p"},
        ],
    },
    "10_Ekman6_joy_7": {"subset": "test", "annotations": []},
}
HIVAU = {
    "Abuse028_x264": {
        "n_frames": 300,
        "fps": 30.0,
        "label": ["RoadAccidents"],
        "events": [[2.0, 4.1], [2.0, 4.0], [5.0, 6.0]],
        "events_summary_split": [
            {"judgement": "Yes.", "description": "A car skids", "analysis": "It may hurt people."},
            {"judgement": "Yes.", "description": "A car slides", "analysis": ""},
            {"judgement": "Yes.", "description": "It hits a wall"},
        ],
        "video_summary": "A car skids into a wall.",
    },
    "Normal_1": {
        "n_frames": 60,
        "fps": 30.0,
        "label": [],
        "events": [[0.0, 1.0]],
        "events_summary_split": [{"judgement": "No."}],
        "video_summary": "A dog walks.",
    },
}


def _spans(video: AnnotatedVideo) -> list[tuple[float, float, str]]:
    return [(event.span.start_s, event.span.end_s, event.label) for event in video.truth or ()]


def _written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _read(name: str, folder: Path, files: dict[str, str], labels: str | None = None) -> AnnotatedSet:
    return read_set(name, _written(folder, files), labels)


def test_a_module_is_a_set_and_an_underscore_is_none():
    assert {"tsl300", "ucf_crime", "xd_violence", "hivau70k", "cuva", "hume_reaction", "activitynet",
            "folder_csv"} <= set(set_names())  # fmt: skip
    assert not [name for name in set_names() if name.startswith("_")]
    with pytest.raises(DataSetError, match=r"data set 'nothing' does not exist\. Choose from: accident_seq"):
        read_set("nothing", Path())
    with pytest.raises(LabelError, match="tsl300: labels='anomaly' given"):
        read_set("tsl300", Path(), "anomaly")


def test_tsl300_keeps_calm_videos_and_orders_segments(tmp_path: Path):
    files = {"videosenti_gt.json": json.dumps({"database": TSL}), "len_duration_dict.json": '{"9_CMU_MOSI_a": 10.5}'}
    first, calm = _read("tsl300", tmp_path, files).videos
    assert _spans(first) == [(1.25, 2.0, "positive"), (5.5, 8.0, "negative")]
    assert (first.group, first.split, first.duration_s) == ("CMU_MOSI_a", "train", 10.5)
    assert (calm.truth, calm.split, calm.duration_s) == ((), "test", None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"n"', '"x"', r"videosenti_gt\.json, line 3: database\.9_CMU_MOSI_a\.annotations\.0\.label: wanted"),
        ('"5.5"', '"9.5"', r"line 3: event from 9\.5 to 8\.0 s\. Wanted: seconds with 0 <= start < end"),
        ('"test"', '"val"', r"line \d+: database\.10_Ekman6_joy_7\.subset: wanted 'train' or 'test'"),
        ("10_Ekman6_joy_7", "9_CMU_MOSI_a", r"line 3: no JSON \('9_CMU_MOSI_a' stands twice"),
        ("{\n", "[\n", r"videosenti_gt\.json, line 2: no JSON"),
    ],
)
def test_tsl300_names_file_line_and_form(tmp_path: Path, old: str, new: str, said: str):
    text = json.dumps({"database": TSL}, indent=1)
    assert old in text
    with pytest.raises(DataSetError, match=said):
        _read("tsl300", tmp_path, {"videosenti_gt.json": text.replace(old, new)})


@pytest.mark.parametrize("name", ["tsl300", "ucf_crime", "xd_violence", "hivau70k", "cuva", "hume_reaction",
                                  "activitynet", "folder_csv"])  # fmt: skip
def test_a_missing_file_names_itself(tmp_path: Path, name: str):
    with pytest.raises(DataSetError, match=str(tmp_path)):
        read_set(name, tmp_path)


def test_ucf_crime_times_where_known_and_labels_where_not(tmp_path: Path):
    files = {
        "Temporal_Anomaly_Annotation.txt": "RoadAccidents001_x264.mp4  RoadAccidents  300  330  30  60  \n\n"
        "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1\n",
        "Anomaly_Train.txt": "Abuse/Abuse001_x264.mp4\nTraining_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\n",
    }
    crash, normal, weak, calm = _read("ucf_crime", tmp_path, files).videos
    assert _spans(crash) == [(1.0, 2.0, "Accident"), (10.0, 11.0, "Accident")]
    assert crash.path == "RoadAccidents/RoadAccidents001_x264.mp4"
    assert (normal.truth, normal.path) == ((), "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4")
    assert (weak.truth, weak.video_label, weak.split) == (None, "Abuse", "train")
    assert (calm.truth, calm.video_label) == ((), None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("A_x264 Abuse 1 2 -1", "line 2: 5 fields. Wanted: video, class, start"),
        ("A_x264 Riot 1 2 -1 -1", "line 2: class 'Riot'. Wanted: one of Accident|line 2: class 'Riot'"),
        ("A_x264 Abuse 1 b -1 -1", "line 2: frames 1 b -1 -1"),
        ("A_x264 Abuse 9 2 -1 -1", "line 2: event from 0.3 to 0.066"),
        ("A_x264 Abuse 9 -1 -1 -1", "line 2: event from 0.3 to -0.03"),
        ("A_x264 Abuse -1 -1 -1 -1", "line 2: class Abuse with 0 events"),
        ("A_x264 Normal 1 2 -1 -1", "line 2: class Normal with 1 events"),
        ("N_x264 Normal -1 -1 -1 -1", "line 2: 'N_x264' stands twice"),
    ],
)
def test_ucf_crime_names_the_line(tmp_path: Path, line: str, said: str):
    files = {"Temporal_Anomaly_Annotation.txt": f"N_x264 Normal -1 -1 -1 -1\n{line}\n"}
    with pytest.raises(DataSetError, match=said):
        _read("ucf_crime", tmp_path, files)


def test_ucf_crime_refuses_a_training_line_of_another_form(tmp_path: Path):
    with pytest.raises(DataSetError, match=r"Anomaly_Train\.txt, line 1: Abuse001\. Wanted: Class/Name_x264\.mp4"):
        _read("ucf_crime", tmp_path, {"Anomaly_Train.txt": "Abuse001\n"})


def test_xd_violence_leaves_out_riots(tmp_path: Path):
    lines = "Film.2001__#01_label_G-B2-0.mp4 B2 48 72 G 24 96\nv=x__#1_label_B4-0-0 B4 0 24\n"
    read = _read("xd_violence", tmp_path, {"annotations_multiclasses.txt": lines})
    (video,) = read.videos
    assert _spans(video) == [(1.0, 4.0, "Explosion"), (2.0, 3.0, "Shooting")]
    assert (video.id, video.group, video.split) == ("Film.2001__#01_label_G-B2-0", "Film.2001", "test")
    (left_out,) = read.malformed
    assert (left_out.file, left_out.line) == ("annotations_multiclasses.txt", 2)
    assert "riot has no name in label set anomaly" in left_out.reason


def test_xd_violence_without_classes_takes_them_from_names_that_hold_one(tmp_path: Path):
    lines = "a__#1_label_B6-0-0 24 48\nb__#1_label_G-B2-0 0 24\nc__#1_label_B1-B4-0 0 24\n"
    read = _read("xd_violence", tmp_path, {"annotations.txt": lines})
    assert [_spans(video) for video in read.videos] == [[(1.0, 2.0, "Accident")]]
    assert [row.line for row in read.malformed] == [2, 3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a_label_B1-0-0 B1 3", "2 fields after the video"),
        ("a_label_B1-0-0 B3 3 9", "class 'B3'"),
        ("a_label_B1-0-0 B1 3.5 9", "frame '3.5'"),
        ("a_label_B1-0-0 B1 9 9", "event from 0.375 to 0.375 s"),
        ("a_B1-0-0 B1 3 9", "video 'a_B1-0-0'"),
    ],
)
def test_xd_violence_names_the_line(tmp_path: Path, line: str, said: str):
    with pytest.raises(DataSetError, match=f"annotations_multiclasses.txt, line 1: {said}"):
        _read("xd_violence", tmp_path, {"annotations_multiclasses.txt": line})


def test_hivau70k_has_causes_notes_and_no_event_twice(tmp_path: Path):
    read = _read("hivau70k", tmp_path, {"ucf_database_test.json": json.dumps(HIVAU)})
    crash, calm = read.videos
    assert _spans(crash) == [(2.0, 4.0, "Accident"), (5.0, 6.0, "Accident")]
    assert [event.cause for event in crash.truth or ()] == ["A car slides.", "It hits a wall."]
    assert (crash.duration_s, crash.note) == (10.0, "A car skids into a wall.")
    assert (calm.truth, calm.note) == ((), "A dog walks.")
    assert [row.reason for row in read.malformed] == ["Abuse028_x264: event 2.0-4.1 s stands twice. Wanted: it once."]


def test_hivau70k_leaves_out_a_video_whose_events_have_no_one_class(tmp_path: Path):
    stated = json.loads(json.dumps(HIVAU))
    stated["Abuse028_x264"]["label"] = ["Fighting", "Shooting"]
    read = _read("hivau70k", tmp_path, {"ucf_database_train.json": json.dumps(stated, indent=1)})
    assert [video.id for video in read.videos] == ["Normal_1"]
    assert read.malformed[0].line == 2
    assert "not which event is which" in read.malformed[0].reason
    (tmp_path / "ucf_database_train.json").rename(tmp_path / "other_database_train.json")
    with pytest.raises(DataSetError, match="the file is of 'other', split 'train'"):
        read_set("hivau70k", tmp_path)


HEADER = "File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise"


def test_hume_reaction_reads_both_layouts_alike(tmp_path: Path):
    lines = ["[1],0,0.1,0.2,0.3,0.4,0.5,1", "[2],1,0,0,0,0,0,0"]
    muse, abaw = tmp_path / "muse", tmp_path / "abaw"
    muse.mkdir()
    abaw.mkdir()
    first = _read("hume_reaction", muse, {
        "labels.csv": "\n".join([HEADER, *lines]),
        "partition.csv": "File_ID,Subject,partition\n[1],7,train\n[2],8,devel\n[3],9,test\n",
    })  # fmt: skip
    info = [f"{HEADER},Split", f"{lines[0]},Train", f"{lines[1]},Val", "[3],,,,,,,,Test"]
    second = _read("hume_reaction", abaw, {"data_info.csv": "\n".join(info)})
    assert first == second
    assert [(video.id, video.split) for video in first.videos] == [("1", "train"), ("2", "val"), ("3", "test")]
    assert first.videos[0].intensities == {
        "Adoration": 0, "Amusement": 0.1, "Anxiety": 0.2, "Disgust": 0.3, "Empathic Pain": 0.4, "Fear": 0.5,
        "Surprise": 1,
    }  # fmt: skip
    assert first.videos[2].intensities is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1],0,0,0,0,0,0,1.5,Train", "line 2: Surprise is '1.5'. Wanted: an intensity from 0 to 1"),
        ("[1],,,,,,,,Train", "line 2: Adoration is ''"),
        ("[1],0,0,0,,0,0,0,Test", "line 2: Disgust is ''"),
        ("[1],0,0,0,0,0,0,0,Dev", "line 2: column Split says 'Dev'. Wanted: one of train"),
    ],
)
def test_hume_reaction_names_the_line(tmp_path: Path, line: str, said: str):
    with pytest.raises(DataSetError, match=said):
        _read("hume_reaction", tmp_path, {"data_info.csv": f"{HEADER},Split\n{line}\n"})


def test_hume_reaction_wants_both_files_to_agree(tmp_path: Path):
    files = {"labels.csv": f"{HEADER}\n[1],0,0,0,0,0,0,0\n", "partition.csv": "File_ID,partition\n[2],train\n"}
    with pytest.raises(DataSetError, match=r"partition\.csv, line 2: clip 2 has no line in labels\.csv"):
        _read("hume_reaction", tmp_path, files)
    with pytest.raises(DataSetError, match=r"labels\.csv, line 2: clip 1 is not in partition\.csv"):
        _read("hume_reaction", tmp_path, files | {"partition.csv": "File_ID,partition\n[2],test\n"})


ACTIVITYNET = {
    "database": {
        "a": {
            "subset": "training",
            "duration": 30,
            "video": "gate\\a.mkv",
            "group": "gate",
            "annotations": [
                {"segment": [9, 12.5], "label": "Arson", "cause": "A man lights a bin."},
                {"segment": [1, 2], "label": "Normal"},
            ],
        },
        "b": {"subset": "validation", "annotations": []},
        "c": {"subset": "testing"},
    }
}


def test_activitynet_form_with_every_way_to_name_the_label_set(tmp_path: Path):
    first, calm, withheld = _read("activitynet", tmp_path, {"mine.json": json.dumps(ACTIVITYNET)}).videos
    assert _spans(first) == [(9.0, 12.5, "Arson")]
    assert (first.truth or ())[0].cause == "A man lights a bin."
    assert (first.path, first.group, first.label_set, first.duration_s) == ("gate/a.mkv", "gate", "anomaly", 30.0)
    assert (calm.truth, calm.split, calm.path) == ((), "val", "b.mp4")
    assert (withheld.truth, withheld.split) == (None, "test")
    stated = json.dumps(ACTIVITYNET | {"labels": "implicit"})
    with pytest.raises(LabelError, match=r"mine\.json: label 'Arson' is not in label set implicit"):
        _read("activitynet", tmp_path, {"mine.json": stated})
    assert read_set("activitynet", tmp_path / "mine.json", "anomaly").videos[0] == first


def test_activitynet_asks_for_the_label_set_where_several_fit(tmp_path: Path):
    text = json.dumps(ACTIVITYNET).replace("Arson", "Fighting")
    with pytest.raises(DataSetError, match=r"are those of implicit and anomaly\. Say which to use"):
        _read("activitynet", tmp_path, {"mine.json": text})
    with pytest.raises(DataSetError, match=r"wanted one \.json file, found mine\.json, more\.json"):
        _read("activitynet", tmp_path, {"more.json": text})


def test_folder_csv_events_calm_videos_and_weak_labels(tmp_path: Path):
    text = (
        "video,start_s,end_s,label,cause,split,group\n"
        'gate/a.mp4,5,8.5,Theft,"A bag, then a coat, is taken.",val,gate\n'
        "gate/a.mp4,1,2,Fighting,,val,gate\n"
        "b.mp4,,,Normal,,,\n"
        "c.mp4,,,Fire,,test,\n"
    )
    first, calm, weak = _read("folder_csv", tmp_path, {"events.csv": text}).videos
    assert _spans(first) == [(1.0, 2.0, "Fighting"), (5.0, 8.5, "Theft")]
    assert (first.truth or ())[1].cause == "A bag, then a coat, is taken."
    assert (first.label_set, first.split, first.group) == ("implicit", "val", "gate")
    assert (calm.truth, calm.split, calm.group) == ((), "train", "b.mp4")
    assert (weak.truth, weak.video_label, weak.split) == (None, "Fire", "test")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.mp4,1,,Fire", "line 3: column end_s is empty"),
        ("a.mp4,2,1,Fire", "line 3: event from 2.0 to 1.0 s"),
        ("a.mp4,1,x,Fire", "line 3: column end_s says 'x'. Wanted: seconds"),
        ("a.mp4,,,Fire", "line 3: no times, and 2 lines for a.mp4"),
        ("../b.mp4,1,2,Fire", "line 3: video '../b.mp4' leads out"),
        ("C:/b.mp4,1,2,Fire", "line 3: video 'C:/b.mp4' leads out"),
        ("b.mp4,1,2", "line 3: 3 fields, the header has 4"),
        ("b.mp4,1,2,Fire,smoke, then flames", "line 3: 6 fields, the header has 4"),
    ],
)
def test_folder_csv_names_the_line(tmp_path: Path, line: str, said: str):
    with pytest.raises(DataSetError, match=said):
        _read("folder_csv", tmp_path, {"events.csv": f"video,start_s,end_s,label\na.mp4,1,2,Fire\n{line}\n"})


def test_folder_csv_wants_one_split_for_a_video(tmp_path: Path):
    text = "video,start_s,end_s,label,split\na.mp4,1,2,Fire,train\na.mp4,3,4,Fire,test\n"
    with pytest.raises(DataSetError, match=r"line 3: another split than line 2 for a\.mp4"):
        _read("folder_csv", tmp_path, {"events.csv": text})
    with pytest.raises(LabelError, match="label 'Fire' is not in label set explicit"):
        read_set("folder_csv", tmp_path, "explicit")


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(1, 10_000), st.sampled_from(["Fire", "Theft", "Robbery"])),
        min_size=1,
        max_size=8,
    )
)
def test_folder_csv_returns_the_times_that_were_written(tmp_path_factory: pytest.TempPathFactory, events: list):
    folder = tmp_path_factory.mktemp("csv")
    wanted = sorted((start / 1000, (start + length) / 1000, label) for start, length, label in events)
    lines = [f"a.mp4,{start_s},{end_s},{label}" for start_s, end_s, label in wanted]
    read = _read("folder_csv", folder, {"e.csv": "\n".join(["video,start_s,end_s,label", *lines])}, "implicit")
    assert sorted(_spans(read.videos[0])) == wanted
