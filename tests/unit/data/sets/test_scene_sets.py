"""The four sets of scene tuning, on small files of their true formats."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from omnisila.data.sets import read_set, set_names
from omnisila.data.sets.cmu_mosei import in_words
from omnisila.data.sets.places365 import PER_PLACE
from omnisila.errors import DataSetError

REF = {"ref_id": 7, "ann_id": 70, "category_id": 1, "image_id": 5, "split": "testB", "sent_ids": [3],
       "file_name": "COCO_train2014_000000000005_70.jpg",
       "sentences": [{"tokens": ["the", "lady"], "raw": "The lady", "sent_id": 3, "sent": "the lady"}]}  # fmt: skip
INSTANCES = {
    "info": {}, "licenses": [], "categories": [{"id": 1, "name": "person"}],
    "images": [{"id": 5, "file_name": "COCO_train2014_000000000005.jpg", "width": 200, "height": 100, "license": 1}],
    "annotations": [{"id": 70, "image_id": 5, "category_id": 1, "bbox": [20.0, 10.0, 100.0, 95.0], "iscrowd": 0}],
}  # fmt: skip


def test_the_four_sets_are_known():
    assert {"cmu_mosei", "humanml3d", "refcoco", "places365"} <= set(set_names())


def write_refs(folder: Path, refs: object = (REF,), protocol: int = 0) -> Path:
    path = folder / "refs(unc).p"
    path.write_bytes(pickle.dumps(list(refs) if isinstance(refs, tuple) else refs, protocol=protocol))
    (folder / "instances.json").write_text(json.dumps(INSTANCES))
    return path


def test_refcoco_phrases_come_with_their_box(tmp_path: Path):
    write_refs(tmp_path)
    (item,) = read_set("refcoco", tmp_path).described
    assert item.text == "the lady at <0.10,0.10,0.60,1.00>"  # a box past the border ends there
    assert (item.id, item.source, item.split) == ("7-3", "COCO_train2014_000000000005.jpg", "test")
    assert (item.scene, item.medium, item.group) == ("relation", "image", "5")


def test_refcoco_without_a_box_is_counted(tmp_path: Path):
    write_refs(tmp_path, (REF, {**REF, "ann_id": 71}))
    found = read_set("refcoco", tmp_path)
    assert len(found.described) == 1
    assert found.malformed[0].reason == "item 1: no box 71 on picture 5 in instances.json"


class Attack:
    """What a hostile pickle may hold: a call to make while it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.target), "w")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_refcoco_runs_no_code_from_the_pickle(tmp_path: Path, protocol: int):
    victim = tmp_path / "victim"
    write_refs(tmp_path, [Attack(victim)], protocol)
    with pytest.raises(DataSetError, match="which could run code"):
        read_set("refcoco", tmp_path)
    assert not victim.exists()


def test_refcoco_faults_are_named(tmp_path: Path):
    with pytest.raises(DataSetError, match=r"refs\(unc\)\.p: no such file"):
        read_set("refcoco", tmp_path)
    write_refs(tmp_path, (REF, {**REF, "split": "dev"}))
    with pytest.raises(DataSetError, match=r"item 1\.split"):
        read_set("refcoco", tmp_path)
    write_refs(tmp_path).write_bytes(b"(lp0\ngarbage")
    with pytest.raises(DataSetError, match="not read as a pickle of plain data"):
        read_set("refcoco", tmp_path)


def write_motions(folder: Path) -> None:
    for name in ("new_joints", "texts"):
        (folder / name).mkdir()
    for motion, split, frames in (("000001", "train", 40), ("M000001", "train", 40), ("000002", "test", 60)):
        np.save(folder / f"new_joints/{motion}.npy", np.zeros((frames, 22, 3), np.float32))
        with (folder / f"{split}.txt").open("a") as file:
            file.write(f"{motion}\n")
        (folder / f"texts/{motion}.txt").write_text("a person walks.#a/DET person/NOUN walk/VERB#0.0#0.0\n")


def test_humanml3d_captions_have_their_times(tmp_path: Path):
    write_motions(tmp_path)
    (tmp_path / "texts/000002.txt").write_text(
        "a man sits.#a/DET man/NOUN#1.0#2.5\nhe waves.#he/PRON#nan#nan\nbroken line#0.0\nlate.#late/ADV#3.5#4.0\n"
    )
    found = read_set("humanml3d", tmp_path)
    assert [(i.id, i.text, i.start_s, i.end_s, i.split, i.group) for i in found.described] == [
        ("000001-1", "a person walks.", 0.0, 2.0, "train", "000001"),
        ("M000001-1", "a person walks.", 0.0, 2.0, "train", "000001"),
        ("000002-1", "a man sits.", 1.0, 2.5, "test", "000002"),
        ("000002-2", "he waves.", 0.0, 3.0, "test", "000002"),
    ]
    assert [(row.file, row.line) for row in found.malformed] == [("texts/000002.txt", 3), ("texts/000002.txt", 4)]


def test_humanml3d_motions_are_read_without_pickle(tmp_path: Path):
    write_motions(tmp_path)
    np.save(tmp_path / "new_joints/000001.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "new_joints/M000001.npy", np.zeros((40, 263), np.float32))
    found = read_set("humanml3d", tmp_path)
    assert [i.id for i in found.described] == ["000002-1"]
    assert [(row.file, row.line) for row in found.malformed] == [("train.txt", 1), ("train.txt", 2)]
    assert "shape (40, 263)" in found.malformed[1].reason
    with pytest.raises(DataSetError, match=r"no train\.txt, val\.txt or test\.txt"):
        read_set("humanml3d", tmp_path / "texts")


def test_places365_pictures_are_named_by_their_place(tmp_path: Path):
    (tmp_path / "categories_places365.txt").write_text("/a/airfield 0\n/a/apartment_building/outdoor 1\n")
    train = [f"/a/airfield/{i:08d}.jpg 0" for i in range(PER_PLACE * 2)]
    (tmp_path / "places365_train_standard.txt").write_text("\n".join(train))
    (tmp_path / "places365_val.txt").write_text("Places365_val_00000001.jpg 1\n")
    found = read_set("places365", tmp_path).described
    assert [item.source for item in found[:2]] == ["train/airfield/00000000.jpg", "train/airfield/00000002.jpg"]
    assert len(found) == PER_PLACE + 1
    assert (found[-1].source, found[-1].text) == ("val/Places365_val_00000001.jpg", "apartment building, outdoor")
    assert {(item.medium, item.scene) for item in found} == {("image", "background")}


def test_places365_faults_are_named(tmp_path: Path):
    with pytest.raises(DataSetError, match=r"categories_places365\.txt: no such file"):
        read_set("places365", tmp_path)
    (tmp_path / "categories_places365.txt").write_text("/a/airfield 0\n")
    (tmp_path / "places365_val.txt").write_text("a.jpg 0\nb.jpg 9\n")
    with pytest.raises(DataSetError, match=r"places365_val\.txt, line 2: category 9"):
        read_set("places365", tmp_path)


def write_csd(path: Path, features: list[list[float]], intervals: list[list[float]]) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for video in ("-3g5yACwYnA", "abc"):
            group = file.create_group(f"All Labels/data/{video}")
            group["features"], group["intervals"] = np.array(features), np.array(intervals)
        file.create_group("All Labels/metadata")["dimension names"] = np.array([b'["sentiment"]'])


def test_cmu_mosei_segments_are_put_in_words(tmp_path: Path):
    write_csd(
        tmp_path / "CMU_MOSEI_Labels.csd",
        [[1.0, 2 / 3, 2 / 3, 0, 0, 0, 1 / 3], [-2.4, 0, 3.0, 0, 1.5, 0, 0], [9.0, 0, 0, 0, 0, 0, 0]],
        [[0.5, 12.75], [13.0, 15.0], [15.0, 16.0]],
    )
    (tmp_path / "test.txt").write_text("abc\n")
    found = read_set("cmu_mosei", tmp_path)
    first, second, third, _ = found.described
    assert first.text == "weakly positive sentiment, slight happiness, slight sadness, slight fear"
    assert second.text == "negative sentiment, strong sadness, moderate surprise"
    assert (first.source, first.start_s, first.end_s, first.scene, first.group) == (
        "-3g5yACwYnA.mp4", 0.5, 12.75, "face", "-3g5yACwYnA",
    )  # fmt: skip
    assert (first.split, third.split) == ("train", "test")
    assert [row.reason.partition(":")[0] for row in found.malformed] == ["-3g5yACwYnA, segment 2", "abc, segment 2"]


def test_cmu_mosei_sentiment_rounds_to_seven_classes():
    said = [in_words([value, 0, 0, 0, 0, 0, 0]) for value in (-3.0, -0.5, 0.49, 3.0)]
    names = ["highly negative", "neutral", "neutral", "highly positive"]
    assert said == [f"{name} sentiment, no emotion" for name in names]


def test_cmu_mosei_faults_are_named(tmp_path: Path):
    path = tmp_path / "features.csd"
    write_csd(path, [[0.0] * 6], [[0.0, 1.0]])
    with pytest.raises(DataSetError, match=r"features of shape \(1, 6\).*Other \.csd files hold features"):
        read_set("cmu_mosei", tmp_path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(DataSetError, match="cannot be read as HDF5"):
        read_set("cmu_mosei", tmp_path)
