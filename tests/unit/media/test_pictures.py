"""Pictures of every make: stills, animations, transparency, orientation, shapes that change on the way."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from omnisila.errors import MediaError
from omnisila.media.image_files import WebPAnimation, eight_bits
from omnisila.media.video import VideoReader, probe

FIXTURES = Path(__file__).parents[2] / "fixtures"
CORNERS = np.array([[(220, 20, 20), (20, 200, 20)], [(20, 20, 220), (220, 220, 20)]], np.uint8)


def quarters(width_px: int = 128, height_px: int = 128) -> Image.Image:
    """Red, green, blue and yellow quarters, row by row."""
    return Image.fromarray(CORNERS).resize((width_px, height_px), Image.Resampling.NEAREST)


def read(path: Path) -> tuple[VideoReader, np.ndarray]:
    """The reader after a pass, and the first picture."""
    reader = VideoReader(path)
    frames = list(reader)
    return reader, frames[0].image.numpy()


def corners(image: np.ndarray) -> np.ndarray:
    height_px, width_px = image.shape[:2]
    rows, columns = [height_px // 4, 3 * height_px // 4], [width_px // 4, 3 * width_px // 4]
    return image[np.ix_(rows, columns)].astype(int)


def assert_quarters(image: np.ndarray, tolerance: float = 6) -> None:
    assert np.abs(corners(image) - CORNERS).max() <= tolerance


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.tif", "a.bmp", "a.gif", "a.jp2", "a.ppm",
                                  "a.qoi", "a.tga", "a.pcx", "a.sgi"])  # fmt: skip
def test_still_pictures_of_every_format_last_a_second(tmp_path, name):
    options: dict[str, Any] = {"quality": 95} if name.endswith(("jpg", "webp", "avif")) else {}
    quarters().save(tmp_path / name, **options)
    reader, image = read(tmp_path / name)
    assert_quarters(image)
    assert (reader.info.still, reader.info.duration_s, reader.warnings) == (True, 1.0, ())


def test_pictures_of_tiles_are_joined(tmp_path):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    quarters().save(tmp_path / "a.heic", tile_size=64, quality=90)
    for path in (tmp_path / "a.heic", FIXTURES / "tiles.avif"):
        reader, image = read(path)
        assert image.shape == (128, 128, 3)
        assert_quarters(image)
        assert reader.info.still


def test_the_first_of_several_pictures_without_times_counts(tmp_path):
    quarters().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=95)
    quarters().save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (8, 8))] * 2)
    for name, notes in (("a.jpg", ()), ("a.tif", ("the file holds 3 pages without times: the first is analysed",))):
        reader, image = read(tmp_path / name)
        assert_quarters(image)
        assert (reader.info.still, reader.info.duration_s, reader.warnings) == (True, 1.0, notes)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif"])
def test_animations_are_videos(tmp_path, name):
    second = ImageOps.mirror(quarters())
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    quarters().save(
        tmp_path / name, save_all=True, append_images=[second] * 3, duration=[400, 200, 200, 200], **options
    )
    reader = VideoReader(tmp_path / name)
    frames = list(reader)
    assert frames[1].time_s == pytest.approx(0.4)
    assert reader.info.duration_s == pytest.approx(1.0)
    assert (reader.info.still, reader.decoded_ratio, reader.warnings) == (False, 1.0, ())
    assert_quarters(frames[0].image.numpy(), 12)
    assert_quarters(frames[-1].image.numpy()[:, ::-1], 12)


ANIMATED = ["a.gif", "a.png", "a.webp"]


def write_animation(path: Path) -> list[Image.Image]:
    noise = np.random.default_rng(0)
    images = [Image.fromarray(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)) for _ in range(30)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    return images


@pytest.mark.parametrize("name", ANIMATED)
def test_of_an_animation_that_was_cut_off_the_whole_pictures_are_read(tmp_path, name):
    write_animation(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 3 // 5])
    reader = VideoReader(tmp_path / name)
    assert len(list(reader)) in (17, 18)
    assert any("cut off" in warning for warning in reader.warnings)
    # a GIF never says how many pictures it holds: that one is missing is all that is known
    assert reader.decoded_ratio == pytest.approx(16.5 / 17.5 if name == "a.gif" else 0.6, abs=0.04)


@pytest.mark.parametrize("name", ANIMATED)
def test_what_is_damaged_within_an_animation_is_told(tmp_path, name):
    write_animation(tmp_path / name)
    content = bytearray((tmp_path / name).read_bytes())
    assert VideoReader(tmp_path / name).warnings == ()
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    (tmp_path / name).write_bytes(content)
    reader = VideoReader(tmp_path / name)
    assert 13 <= len(list(reader)) < 30
    assert 0.4 < reader.decoded_ratio < 1.0
    assert reader.warnings


def test_a_webp_goes_on_behind_a_damaged_picture(tmp_path):
    write_animation(tmp_path / "a.webp")
    content = bytearray((tmp_path / "a.webp").read_bytes())
    at = content.index(b"VP8 ", len(content) // 2)
    content[at + 8 : at + 18] = bytes(10)  # its frame header
    (tmp_path / "a.webp").write_bytes(content)
    reader = VideoReader(tmp_path / "a.webp")
    assert len(list(reader)) == 29
    assert reader.decoded_ratio == pytest.approx(29 / 30)


def test_webp_pictures_without_a_time_are_shown_as_browsers_do(tmp_path):
    images = [quarters(), ImageOps.mirror(quarters()), ImageOps.flip(quarters())]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=[40, 0, 1000])
    animation = WebPAnimation.of(tmp_path / "a.webp")
    assert animation is not None
    assert animation.displays_s == (0.04, 0.1, 1.0)
    assert [frame.time_s for frame in VideoReader(tmp_path / "a.webp")] == pytest.approx([0.0, 0.04, 0.14])


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_grey_pictures_keep_their_levels(tmp_path, dtype):
    levels = np.tile(np.arange(0, 256, 8, dtype=np.float64), (32, 1))
    deep = levels / 255 if dtype is np.float32 else levels * 257
    Image.fromarray(deep.astype(dtype)).save(tmp_path / "a.tif")
    _, image = read(tmp_path / "a.tif")
    assert np.abs(image - levels[..., None]).max() <= 1


def test_what_is_white_follows_the_values() -> None:
    assert eight_bits(np.array([[0.0, 0.5, 1.0]], np.float32)).tolist() == [[0, 128, 255]]
    assert eight_bits(np.array([[0.0, 50.0, 100.0]], np.float32)).tolist() == [[0, 128, 255]]
    assert eight_bits(np.array([[np.nan, -1.0, 1.0]], np.float32)).tolist() == [[0, 0, 255]]
    assert eight_bits(np.array([[0, 128, 200]], np.int32)).tolist() == [[0, 128, 200]]
    assert eight_bits(np.array([[0, 257, 65535]], np.int32)).tolist() == [[0, 1, 255]]
    assert eight_bits(np.array([[0, 10**6, 2 * 10**6]], np.int32)).tolist() == [[0, 128, 255]]
    assert eight_bits(np.array([[0, 257]], np.uint16), full_scale=65535).tolist() == [[0, 1]]
    assert eight_bits(np.zeros((1, 2), np.float32)).tolist() == [[0, 0]]


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "YCbCr", "LAB", "P"])
def test_colours_of_every_mode_come_out_right(tmp_path, mode):
    picture = quarters()
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB") or picture
    else:
        picture = picture.quantize() if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "a.tif")
    assert_quarters(read(tmp_path / "a.tif")[1])


def test_what_is_transparent_is_white(tmp_path):
    pixels = np.dstack([np.asarray(quarters()), np.full((128, 128), 255, np.uint8)])
    pixels[:64, :, 3] = 0
    for name in ("a.png", "a.webp", "a.avif", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name)
        assert corners(read(tmp_path / name)[1])[0].min() >= 250
        assert np.abs(corners(read(tmp_path / name)[1])[1] - CORNERS[1]).max() < 12
    Image.fromarray(pixels).save(tmp_path / "b.png", save_all=True, append_images=[quarters().convert("RGBA")])
    assert corners(read(tmp_path / "b.png")[1])[0].min() >= 250
    samples = list(VideoReader(tmp_path / "b.png").with_luma(4, 3))
    assert int(samples[0].lumas[0].image[32, 32]) >= 250


@pytest.mark.parametrize("turn", range(1, 9))
def test_motion_jpeg_with_exif_is_read_and_turned(tmp_path, turn):
    """EXIF is side data that PyAV has had no name for, and it hides the display matrix beside it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = turn, "Maker"
    data = io.BytesIO()
    quarters(64, 48).save(data, "JPEG", quality=95, exif=exif)
    (tmp_path / "a.mjpeg").write_bytes(data.getvalue() * 3)
    upright = ImageOps.exif_transpose(Image.open(data))
    images = [frame.image.numpy() for frame in VideoReader(tmp_path / "a.mjpeg")]
    assert len(images) == 3
    assert images[0].shape == np.asarray(upright).shape
    assert np.abs(corners(images[2]) - corners(np.asarray(upright))).max() < 12


def joined(first: Path, second: Path) -> Path:
    path = first.with_name("joined.ts")
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def painted(_: int, width_px: int, height_px: int) -> np.ndarray:
    return np.full((height_px, width_px, 3), 200, np.uint8)


def test_a_change_to_portrait_keeps_peoples_proportions(make_video):
    path = joined(make_video("one.ts", paint=painted),
                  make_video("two.ts", width_px=48, height_px=96, start_s=2.0, paint=painted))  # fmt: skip
    reader = VideoReader(path)
    images = [frame.image.numpy() for frame in reader]
    assert {image.shape for image in images} == {(48, 64, 3)}
    assert images[0].min() > 190
    assert np.flatnonzero((images[-1] > 100).all(axis=(0, 2))).tolist() == list(range(20, 44))
    assert any("48x96 px from 2.0 s on" in warning for warning in reader.warnings)
    assert next(iter(reader.at_rate(4, start_s=3.0, long_side_px=32))).image.shape == (24, 32, 3)


def test_a_change_of_size_alone_fills_the_picture(make_video):
    path = joined(make_video("one.ts", paint=painted),
                  make_video("two.ts", width_px=128, height_px=96, start_s=2.0, paint=painted))  # fmt: skip
    assert [*VideoReader(path)][-1].image.numpy().min() > 190


def test_a_change_of_the_pixels_shape_is_followed(make_video):
    path = joined(make_video("one.ts", sample_aspect="4:3", paint=painted),
                  make_video("two.ts", sample_aspect="8:3", start_s=2.0, paint=painted))  # fmt: skip
    images = [frame.image.numpy() for frame in VideoReader(path)]
    assert images[0].shape == (48, 85, 3)
    assert images[0].min() > 190
    assert np.flatnonzero((images[-1] > 100).all(axis=(1, 2))).tolist() == list(range(12, 36))


def test_other_video_streams_are_told(make_video, tmp_path):
    sources = [av.open(str(make_video(name, paint=painted))) for name in ("one.mp4", "two.mp4")]
    with av.open(str(tmp_path / "both.mkv"), "w") as container:
        streams = [container.add_stream_from_template(source.streams.video[0]) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
            source.close()
    reader = VideoReader(tmp_path / "both.mkv")
    assert len(list(reader)) == 24
    assert reader.warnings == ("of 2 video streams only number 1, 64x48 px, is analysed",)


def test_a_picture_of_which_a_part_is_missing_says_so(tmp_path):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    quarters().resize((512, 512)).save(tmp_path / "whole.heic", tile_size=64, quality=90)
    content = (tmp_path / "whole.heic").read_bytes()
    (tmp_path / "half.heic").write_bytes(content[:-100])
    (warning,) = VideoReader(tmp_path / "half.heic").warnings
    assert warning == "the file is cut off: a part of the picture is missing"
    assert VideoReader(tmp_path / "whole.heic").warnings == ()


@pytest.mark.parametrize("suffix", ["avif", "heic"])
@pytest.mark.parametrize("kept_bytes", [20, 40, 100, 200])
def test_a_picture_that_is_cut_before_its_data_speaks_of_no_video_index(tmp_path, suffix, kept_bytes):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.new("RGB", (64, 64), "red").save(tmp_path / f"a.{suffix}")
    (path := tmp_path / f"cut.{suffix}").write_bytes((tmp_path / f"a.{suffix}").read_bytes()[:kept_bytes])
    with pytest.raises(MediaError) as told:
        probe(path)
    assert "the picture is cut off" in str(told.value)
