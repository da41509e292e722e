"""A camera file: what it is of, whole or refused, and the sum of its videos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnisila.cameras.camera import Camera, Verdicts
from omnisila.cameras.footage import Row
from omnisila.errors import InputError
from omnisila.schema import ModelIdentity, Span
from tests.unit.cameras.conftest import CALIBRATION

Learn = Callable[..., Row]
WALK = [[(0.3 + i / 200, 0.8, 0.4)] for i in range(60)]


def test_a_camera_survives_its_file(camera: Camera, learnt_row: Learn, tmp_path: Path) -> None:
    learnt = camera.with_row(learnt_row("a.mp4", WALK)).with_row(learnt_row("b.mp4", WALK))
    learnt.save(tmp_path / "yard.camera")
    read = Camera.load(tmp_path / "yard.camera")
    assert read.facts == learnt.facts
    assert read.hours == pytest.approx(60 / 3600)
    assert {name: one.tolist() for name, one in read.tensors.items()} == {
        name: one.tolist() for name, one in learnt.tensors.items()
    }


def test_a_video_learnt_again_takes_its_own_place(camera: Camera, learnt_row: Learn) -> None:
    once = camera.with_row(learnt_row("a.mp4", WALK))
    again = once.with_row(learnt_row("a.mp4", WALK, events=[Span(start_s=0.0, end_s=10.0)]))
    assert len(again.facts.videos) == 1
    assert again.hours == pytest.approx(20 / 3600)
    assert again.total("exact/place").sum() < once.total("exact/place").sum()
    assert again.without("sha of a.mp4").hours == 0


def test_the_order_of_videos_changes_no_limit(camera: Camera, learnt_row: Learn) -> None:
    rows = [learnt_row(name, WALK, [0.1, 0.7, 0.8, 0.7, 0.1]) for name in ("a.mp4", "b.mp4")]
    one, other = camera, camera
    for made in rows:
        one = one.with_row(made)
    for made in reversed(rows):
        other = other.with_row(made)
    assert list(one.limits("implicit", CALIBRATION, 5.0)) == list(other.limits("implicit", CALIBRATION, 5.0))


def test_a_label_that_is_high_on_ordinary_footage_needs_more(camera: Camera, learnt_row: Learn) -> None:
    calm = camera.with_row(learnt_row("a.mp4", WALK))
    lively = camera.with_row(learnt_row("a.mp4", WALK, [0.7] * 30))
    on = [next(iter(one.limits("implicit", CALIBRATION, 1.0))).limit.log_odds for one in (calm, lively)]
    assert on[1] > on[0]
    assert not lively.calibration("implicit", CALIBRATION, 1.0).thresholds["Fighting"].on <= 0.7


def test_no_threshold_falls_below_the_models_own_without_being_measured(camera: Camera, learnt_row: Learn) -> None:
    learnt = camera.with_row(learnt_row("a.mp4", WALK * 10))
    for label in learnt.limits("implicit", CALIBRATION, 100.0):
        assert not label.limit.measured or label.limit.log_odds >= np.log(0.4 / 0.6) - 0.01
        assert label.limit.measured or label.limit.log_odds >= np.log(0.6 / 0.4) - 0.01


def test_accepted_labels_get_more_of_the_false_alarms(camera: Camera, learnt_row: Learn) -> None:
    learnt = camera.with_row(learnt_row("a.mp4", WALK, [0.9] * 4))
    facts = learnt.facts.replace(verdicts={"Fighting": Verdicts(accepted=9), "Theft": Verdicts(rejected=9)})
    before = next(iter(learnt.limits("implicit", CALIBRATION, 0.2)))
    after = next(iter(Camera(facts, learnt.tensors).limits("implicit", CALIBRATION, 0.2)))
    assert after.limit.log_odds < before.limit.log_odds


@pytest.mark.parametrize("spoil", ["missing", "cut", "text", "foreign", "folder"])
def test_a_file_that_is_no_whole_camera_is_refused_in_one_line(
    spoil: str, camera: Camera, learnt_row: Learn, tmp_path: Path
) -> None:
    path = tmp_path / "yard.camera"
    if spoil != "missing":
        camera.with_row(learnt_row("a.mp4", WALK)).save(path)
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif spoil == "text":
        path.write_text("a yard")
    elif spoil == "foreign":
        from omnisila.scenes.store import pack

        path.write_bytes(pack(dict(camera.with_row(learnt_row("a.mp4", WALK)).tensors), {}))
    elif spoil == "folder":
        path.unlink()
        path.mkdir()
    with pytest.raises(InputError, match=r"yard\.camera.*learn") as told:
        Camera.load(path)
    assert "\n" not in str(told.value)


def test_a_camera_of_no_footage_is_refused(camera: Camera, tmp_path: Path) -> None:
    camera.save(tmp_path / "yard.camera")
    with pytest.raises(InputError, match="learnt from no footage"):
        Camera.load(tmp_path / "yard.camera")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"extractor_digest": "others"}, "other scene extractors"),
        ({"model": ModelIdentity(name="large", version="1", digest="b" * 64)}, "small@aaaaaaaaaaaa, not large@"),
        ({"labels": {"anomaly": ("Fighting",)}}, "learnt for label sets implicit, not anomaly"),
        ({"calibrations": {"implicit": "anew"}}, "calibrated anew"),
    ],
)
def test_a_camera_of_something_else_is_refused(camera: Camera, other: dict, told: str) -> None:
    camera.check("yard", camera.facts)
    with pytest.raises(InputError, match=told):
        camera.check("yard", camera.facts.replace(**other))


@pytest.mark.parametrize("size", [(640, 480), (240, 320), (320, 180)])
def test_a_picture_of_another_size_is_another_cameras(camera: Camera, size: tuple[int, int]) -> None:
    camera.check_picture(Path("a.mp4"), 320, 240)
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]} px, but the camera was learnt from 320 x 240 px"):
        camera.check_picture(Path("a.mp4"), *size)
