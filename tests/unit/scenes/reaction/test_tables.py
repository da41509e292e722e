"""Tables of other programs: py-feat's output and MuSe's, brought onto a clip's frames."""

from pathlib import Path

import pytest
import torch

from omnisila.errors import RecordError
from omnisila.scenes.reaction.tables import ACTION_UNIT_WIDTH, ACTION_UNITS, EMOTIONS, frame_table

RECTANGLE = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")


def py_feat(path: Path, lines: list[tuple[int, float, float | None]]) -> Path:
    """Lines of (frame, side of the face's rectangle, the value of every feature or None)."""
    rows = [",".join((*RECTANGLE, "Pitch", *ACTION_UNITS, *EMOTIONS, "input", "frame", "approx_time"))]
    for frame, side_px, value in lines:
        said = "" if value is None else str(value)
        rows.append(
            ",".join(["1", "1", str(side_px), str(side_px), "0.9", "0.1", *[said] * 27, "a.mp4", str(frame), "00:00"])
        )
    path.write_text("\n".join(rows) + "\n")
    return path


def muse(path: Path, lines: list[tuple[int, list[float]]]) -> Path:
    rows = [",".join(("timestamp", "segment_id", *map(str, range(len(lines[0][1])))))]
    rows += [",".join((str(time_ms), "12", *map(str, values))) for time_ms, values in lines]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_py_feat_s_frames_are_brought_onto_the_clip_s(tmp_path: Path) -> None:
    path = py_feat(tmp_path / "a.csv", [(frame, 50, (frame + 1) / 100) for frame in range(0, 51, 5)])
    said = frame_table(path, ACTION_UNIT_WIDTH, 25.0).at(torch.linspace(0, 2, 5), ACTION_UNIT_WIDTH)
    assert said.mask.all()
    assert said.values.shape == (5, 32)
    assert (said.values[:, :27] == said.values[:, :1]).all()
    assert said.values[:, 0].tolist() == pytest.approx([0.01, 0.11, 0.26, 0.36, 0.51], abs=0.03)
    assert not said.values[:, 27:].any(), "filled up so that 8 heads divide the width"


def test_of_several_faces_the_largest_counts_and_missing_ones_are_masked(tmp_path: Path) -> None:
    path = py_feat(tmp_path / "a.csv", [(0, 20, 0.9), (0, 80, 0.2), (5, 50, None), (10, 50, 0.0), (15, 50, 0.4)])
    said = frame_table(path, 32, 10.0).at(torch.tensor([0.0, 0.5, 1.0, 1.5, 9.0]), 32)
    assert said.values[0, 0] == pytest.approx(0.2)
    assert said.mask.tolist() == [True, True, True, True, False]
    near = frame_table(path, 32, 10.0)._replace(step_s=0.2).at(torch.tensor([0.0, 0.5, 1.0, 1.5]), 32)
    assert near.mask.tolist() == [True, False, False, True]


def test_muse_s_milliseconds_and_third_column(tmp_path: Path) -> None:
    path = muse(tmp_path / "a.csv", [(250 * k, [k / 10, 1.0, 2.0]) for k in range(5)])
    said = frame_table(path, 4, None).at(torch.tensor([0.0, 0.5, 1.0]), 4)
    torch.testing.assert_close(said.values, torch.tensor([[0, 1, 2, 0], [0.2, 1, 2, 0], [0.4, 1, 2, 0]]))


def test_a_table_without_lines_is_a_mask(tmp_path: Path) -> None:
    said = frame_table(py_feat(tmp_path / "a.csv", []), 32, 25.0).at(torch.zeros(3), 32)
    assert not said.present
    assert said.values.shape == (3, 32)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: columns nothing"),
        ("a,b,c\n1,2,3\n", "line 1: columns a, b, c"),
        ("frame,AU01\n0,0.1\n", "line 1: no column AU02"),
        ("timestamp,segment_id,0\n0,1,0.5\n250,1,high\n", "line 3: 'high' in column '0'"),
        ("timestamp,segment_id,0,1,2,3,4\n0,1,1,1,1,1,1\n", "5 features, wanted at most 4"),
    ],
)
def test_a_table_of_another_form_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(RecordError, match=said) as error:
        frame_table(tmp_path / "a.csv", 4, 25.0)
    assert "a.csv" in str(error.value)


def test_what_cannot_be_read_or_placed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        frame_table(tmp_path / "no.csv", 4, 25.0)
    with pytest.raises(RecordError, match="states no frame rate"):
        frame_table(py_feat(tmp_path / "a.csv", [(0, 1, 0.5)]), 32, None)
