"""HDR and wide gamut: the standards' numbers, and whole files."""

import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorTrc

from omnisila.media.colour import Colour, eetf_nits, hlg_scene_light, pq_code, pq_nits
from omnisila.media.video import VideoReader

PQ = Colour(ColorTrc.SMPTE2084, ColorPrimaries.BT2020)
HLG = Colour(ColorTrc.ARIB_STD_B67, ColorPrimaries.BT2020)
WIDE = Colour(ColorTrc.BT2020_10, ColorPrimaries.BT2020)


def codes(*fractions: float) -> np.ndarray:
    return np.round(np.array(fractions) * 65535).astype(np.uint16).reshape(1, -1, 3)


def test_pq_is_st_2084() -> None:
    nits = np.array([0.0, 0.1, 1.0, 100.0, 203.0, 1000.0, 10_000.0])
    stated = [7.3e-7, 0.0623, 0.1499, 0.5081, 0.5807, 0.7518, 1.0]
    assert pq_code(nits) == pytest.approx(stated, abs=6e-5)
    assert pq_nits(pq_code(nits)) == pytest.approx(nits, abs=1e-6)


def test_hlg_is_bt_2100() -> None:
    light = hlg_scene_light(np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert light == pytest.approx([0.0, 0.0625 / 3, 1 / 12, 0.26496, 1.0], abs=1e-4)
    assert 1000.0 * light[3] ** 1.2 == pytest.approx(203.0, abs=0.5)  # BT.2408: 75 % HLG is diffuse white


def test_the_eetf_keeps_what_is_dark_and_rolls_off_up_to_the_screens_peak() -> None:
    # The knee: 1.5 * 0.5807 - 0.5 * 0.7518 = 0.4952 in PQ, which is 88.3 nits.
    assert eetf_nits(np.array([0.01, 1.0, 20.0, 88.0])) == pytest.approx([0.01, 1.0, 20.0, 88.0], rel=1e-4)
    assert eetf_nits(np.array([1000.0, 4000.0])) == pytest.approx([203.0, 203.0], rel=1e-3)
    rolled = eetf_nits(np.linspace(88.0, 1000.0, 200))
    assert np.all(np.diff(rolled) > 0)
    assert np.all(rolled <= np.linspace(88.1, 1000.1, 200))


@pytest.mark.parametrize(("colour", "white"), [(PQ, 0.5807), (HLG, 0.75), (WIDE, 1.0)])
def test_white_black_and_grey_stay_neutral(colour: Colour, white: float) -> None:
    # HDR's diffuse white of 203 nits is rolled off to 159: (159 / 203)^(1 / 2.4) = 0.903 of 255.
    bright = 255 if colour is WIDE else 230
    shown = colour.to_sdr(codes(*[white] * 3, 0, 0, 0, *[white / 2] * 3))[0].astype(int)
    assert shown[0] == pytest.approx([bright] * 3, abs=1)
    assert shown[1] == pytest.approx([0] * 3, abs=1)
    assert np.ptp(shown[2]) <= 1


@pytest.mark.parametrize("index", range(3))
def test_bt_709_primaries_come_back_from_bt_2020(index: int) -> None:
    # BT.2087's matrix from BT.709 to BT.2020: its column is a pure colour of BT.709, here at 50 nits.
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    shown = PQ.to_sdr(codes(*pq_code(50.0 * to_bt2020[:, index])))[0, 0].astype(int)
    wanted = np.zeros(3)
    wanted[index] = 255 * (50.0 / 203.0) ** (1 / 2.4)
    assert shown == pytest.approx(wanted, abs=12)  # the matrices have four digits, and gamma spreads the darkest levels


def test_highlights_keep_their_hue() -> None:
    red, green, blue = PQ.to_sdr(codes(*pq_code(np.array([900.0, 450.0, 450.0]))))[0, 0] / 255.0
    assert green == pytest.approx(blue, abs=0.15)
    assert red > green + 0.2


@pytest.mark.parametrize(
    ("transfer", "white", "name"), [("smpte2084", 0.5807, "HDR (PQ)"), ("arib-std-b67", 0.75, "HDR (HLG)")]
)
def test_an_hdr_video_is_mapped_and_told(make_video, transfer, white, name):
    tags = {"color_trc": transfer, "color_primaries": "bt2020", "colorspace": "bt2020nc", "color_range": "tv"}
    path = make_video(
        "a.mkv", codec="libx264", pixel_format="yuv420p10le", options={"crf": "1", **tags},
        paint=lambda _, width_px, height_px: np.full((height_px, width_px, 3), round(255 * white), np.uint8),
    )  # fmt: skip
    reader = VideoReader(path)
    samples = list(reader.with_luma(4, 3))
    assert samples[0].frame.image[20, 20].tolist() == pytest.approx([230] * 3, abs=3)
    assert int(samples[0].lumas[0].image[20, 20]) == pytest.approx(230, abs=3)
    assert reader.warnings == (f"the pictures are in {name}: they are mapped to SDR (BT.709)",)


@pytest.mark.parametrize("matrix", ["ycgco", "ictcp", "bt2020c"])
def test_a_matrix_that_cannot_be_converted_is_told_and_costs_no_picture(make_video, frame_level, matrix):
    path = make_video("a.mkv", codec="libx264", options={"crf": "1", "colorspace": matrix})
    reader = VideoReader(path)
    frames = list(reader)
    assert [int(frame.image[-3, -3, 1]) for frame in frames] == pytest.approx(
        [frame_level(i) for i in range(24)], abs=5
    )
    assert any("colour matrix" in warning for warning in reader.warnings)
