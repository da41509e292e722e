"""Reading real files: times, size, rotation, colour, sampling at a rate, seeking, bounded memory."""

import gc
import hashlib
import subprocess
import sys
import textwrap
from itertools import islice

import av
import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.errors import MediaError
from omnisila.media.pictures import shown_size
from omnisila.media.source import open_source
from omnisila.media.video import DecodeLimits, VideoReader, probe, sha256

CONTAINERS = ("a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.ts", "a.flv")


def grey(frame):
    """The grey level in the corner that the red block leaves free."""
    return int(frame.image[-3, -3].float().mean().round())


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_all_frames_in_order_at_their_times(make_video, frame_level, name):
    reader = VideoReader(make_video(name))
    frames = list(reader)
    assert [grey(frame) for frame in frames] == pytest.approx([frame_level(i) for i in range(24)], abs=2)
    assert [frame.time_s for frame in frames] == pytest.approx([i / 12 for i in range(24)], abs=1e-3)
    assert reader.info.duration_s == pytest.approx(2.0, abs=2e-3)
    assert reader.info.rate_hz == pytest.approx(12.0)
    assert (reader.info.width_px, reader.info.height_px) == (64, 48)
    assert reader.decoded_ratio == 1.0
    assert reader.warnings == ()


def test_decoded_pictures_are_freed_without_a_search_for_garbage(make_video):
    gc.collect()
    gc.disable()
    try:
        for _ in VideoReader(make_video()):
            pass
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert not [held for held in gc.garbage if isinstance(held, av.VideoFrame)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_a_reader_can_be_read_again(make_video):
    reader = VideoReader(make_video())
    assert torch.equal(torch.stack([f.image for f in reader]), torch.stack([f.image for f in reader]))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts"])
def test_variable_rate_keeps_the_containers_times(make_video, name):
    times_s = [0, 0.1, 0.5, 0.6, 2.6, 2.7, 5.7]
    reader = VideoReader(make_video(name, times_s=times_s))
    assert [frame.time_s for frame in reader] == pytest.approx(times_s, abs=1e-3)
    assert reader.info.duration_s == pytest.approx(5.7 + 1 / 12, abs=0.03)
    assert reader.decoded_ratio == 1.0
    assert reader.warnings == ()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts", "a.flv"])
def test_non_zero_start_is_time_zero(make_video, name):
    reader = VideoReader(make_video(name, start_s=10.0))
    frames = list(reader)
    assert frames[0].time_s == 0.0
    assert frames[-1].time_s == pytest.approx(23 / 12, abs=2e-3)
    assert reader.info.start_s == pytest.approx(10.0, abs=1e-3)
    assert reader.info.duration_s == pytest.approx(2.0, abs=2e-3)


def test_pictures_that_begin_after_the_sound_keep_their_delay_and_leave_no_hole(make_video, frame_level):
    reader = VideoReader(make_video(start_s=1.0, audio_s=1.0))
    assert reader.info.has_audio
    assert next(iter(reader)).time_s == pytest.approx(1.0, abs=0.03)
    sampled = list(reader.at_rate(4))
    assert [frame.time_s for frame in sampled] == [k / 4 for k in range(12)]
    assert [grey(frame) for frame in sampled[:5]] == pytest.approx([frame_level(0)] * 5, abs=2)


def test_sound_that_runs_on_does_not_lengthen_the_pictures(make_video):
    for name in ("a.mp4", "a.mkv", "a.webm"):
        reader = VideoReader(make_video(name, audio_s=5.0))
        assert sum(1 for _ in reader) == 24
        assert reader.info.duration_s == pytest.approx(2.0, abs=0.01)
        assert reader.decoded_ratio == 1.0


def test_timestamps_that_start_over_are_counted_on(make_video, tmp_path):
    joined = tmp_path / "joined.ts"
    joined.write_bytes(make_video("one.ts", start_s=5.0).read_bytes() + make_video("two.ts").read_bytes())
    reader = VideoReader(joined)
    times_s = [frame.time_s for frame in reader]
    assert 46 <= len(times_s) <= 48
    assert np.all(np.diff(times_s) > 0)
    assert times_s[-1] == pytest.approx(47 / 12, abs=0.2)
    assert any("start anew" in warning for warning in reader.warnings)


def test_a_stream_without_timestamps_runs_at_its_nominal_rate(make_video):
    reader = VideoReader(make_video("raw.h264"))
    times_s = [frame.time_s for frame in reader]
    assert len(times_s) == 24
    assert np.allclose(np.diff(times_s), 1 / reader.info.rate_hz)
    assert reader.info.duration_s == pytest.approx(24 / reader.info.rate_hz)


@pytest.mark.parametrize(
    ("turn_deg", "mirror", "red_corner"),
    [(0, False, "top left"), (90, False, "top right"), (180, False, "bottom right"), (270, False, "bottom left"),
     (0, True, "top right"), (180, True, "bottom left")],
)  # fmt: skip
def test_rotation_and_mirror_flags_are_applied(make_video, turn_deg, mirror, red_corner):
    reader = VideoReader(make_video(turn_deg=turn_deg, mirror=mirror, frames=3))
    image = next(reader.at_rate(4)).image
    size = (64, 48) if turn_deg % 180 == 0 else (48, 64)
    assert (reader.info.width_px, reader.info.height_px) == size == (image.shape[1], image.shape[0])
    if not mirror:
        assert reader.info.rotation_deg == turn_deg
    rows = {"top": 4, "bottom": -4}
    columns = {"left": 4, "right": -4}
    row, column = red_corner.split()
    for name, y in rows.items():
        for side, x in columns.items():
            red, green, _ = image[y, x].tolist()
            assert (red - green > 100) == (name == row and side == column)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [("a.mkv", "libx264", "yuv420p10le"), ("a.mov", "prores_ks", "yuv422p10le"), ("a.mkv", "ffv1", "yuva420p"),
     ("a.mov", "qtrle", "argb"), ("a.mkv", "ffv1", "bgr0"), ("a.mkv", "ffv1", "rgb48le"),
     ("a.mkv", "mjpeg", "yuvj420p"), ("a.webm", "libvpx-vp9", "yuv420p"), ("a.mkv", "libx264", "yuv444p")],
)  # fmt: skip
def test_ten_bit_alpha_and_full_range_formats_become_plain_rgb(make_video, frame_level, name, codec, pixel_format):
    frames = list(VideoReader(make_video(name, codec=codec, pixel_format=pixel_format, frames=3)))
    assert [frame.image.dtype for frame in frames] == [torch.uint8] * 3
    for index, frame in enumerate(frames):
        assert frame.image[4, 4].tolist() == pytest.approx([220, 20, 20], abs=5)
        assert frame.image[-3, -3].tolist() == pytest.approx([frame_level(index)] * 3, abs=5)


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le"])
def test_grey_video_becomes_grey_rgb(make_video, frame_level, pixel_format):
    frames = list(VideoReader(make_video("a.mkv", codec="ffv1", pixel_format=pixel_format, frames=3)))
    for index, frame in enumerate(frames):
        assert frame.image[-3, -3].tolist() == pytest.approx([frame_level(index)] * 3, abs=2)


def test_odd_sizes_stay_exact(make_video):
    for codec, name in (("ffv1", "a.mkv"), ("libx264", "b.mp4")):
        path = make_video(name, codec=codec, pixel_format="yuv444p", width_px=63, height_px=47, frames=2)
        assert next(iter(VideoReader(path))).image.shape == (47, 63, 3)
        assert next(VideoReader(path).at_rate(4, long_side_px=31)).image.shape == (23, 31, 3)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_single_frame_is_a_video(make_video, name):
    reader = VideoReader(make_video(name, frames=1))
    assert len(list(reader.at_rate(4))) == 1
    assert 0 < reader.info.duration_s < 0.2
    assert reader.decoded_ratio == 1.0


@pytest.mark.parametrize("name", ["two words.mp4", "Überfall ✓ 監視.mp4", "50%d: a=b.mkv", "-dash.avi", "http:x.mp4"])
def test_any_file_name_opens(make_video, name):
    assert probe(make_video(name, frames=2)).duration_s > 0


def test_a_misnamed_file_is_read_by_its_content(make_video, tmp_path):
    path = make_video("a.webm").rename(tmp_path / "a.mp4")
    assert probe(path).codec == "vp8"


def test_sampling_shows_the_last_frame_at_or_before_each_time(make_video, frame_level):
    reader = VideoReader(make_video(rate_hz=12, frames=24))
    sampled = list(reader.at_rate(8))
    assert [frame.time_s for frame in sampled] == [k / 8 for k in range(16)]
    shown = [int(k * 12 / 8 + 1e-6) for k in range(16)]
    assert [grey(frame) for frame in sampled] == pytest.approx([frame_level(i) for i in shown], abs=2)


def test_sampling_above_the_videos_rate_repeats_frames_without_copying(make_video):
    sampled = list(VideoReader(make_video(rate_hz=12, frames=4)).at_rate(48))
    assert len(sampled) == 16
    assert sampled[0].image.data_ptr() == sampled[3].image.data_ptr() != sampled[4].image.data_ptr()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.ts"])
def test_a_span_far_in_is_the_same_as_in_a_full_pass(make_video, name):
    reader = VideoReader(make_video(name, frames=96))
    full = [frame for frame in reader.at_rate(4) if 5.0 <= frame.time_s < 7.0]
    part = list(reader.at_rate(4, start_s=5.0, end_s=7.0))
    assert [frame.time_s for frame in part] == [frame.time_s for frame in full]
    assert all(torch.equal(a.image, b.image) for a, b in zip(part, full, strict=True))


def test_grey_pictures_come_between_frames_with_their_own_times(make_video, frame_level):
    samples = list(VideoReader(make_video(rate_hz=12, frames=24)).with_luma(4, 3))
    assert [sample.frame.time_s for sample in samples] == [k / 4 for k in range(8)]
    for k, sample in enumerate(samples):
        assert [luma.time_s for luma in sample.lumas] == pytest.approx([(3 * k + i) / 12 for i in range(3)], abs=1e-3)
        assert [int(luma.image[-3, -3]) for luma in sample.lumas] == pytest.approx(
            [frame_level(3 * k + i) for i in range(3)], abs=2
        )


def test_a_held_picture_of_a_slow_camera_is_given_once(make_video):
    samples = list(VideoReader(make_video(rate_hz=2, frames=8)).with_luma(4, 3))
    assert all(len(sample.lumas) == 1 for sample in samples)


def test_a_still_picture_is_a_one_second_video(tmp_path):
    picture = Image.new("RGB", (40, 30), (10, 200, 30))
    for name in ("a.jpg", "a.png", "photo called.mp4"):
        picture.save(tmp_path / name, "PNG" if name.endswith("png") else "JPEG", quality=95)
        reader = VideoReader(tmp_path / name)
        frames = list(reader.at_rate(4))
        assert [frame.time_s for frame in frames] == [0, 0.25, 0.5, 0.75]
        assert frames[3].image[5, 5].tolist() == pytest.approx([10, 200, 30], abs=3)
        assert (reader.info.duration_s, reader.info.still, reader.decoded_ratio) == (1.0, True, 1.0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_still_pictures_of_every_mode_open(tmp_path, mode):
    white = {"CMYK": (0, 0, 0, 0), "I;16": 65535}.get(mode, "white")
    picture = Image.new(mode, (8, 8), white)
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    picture.save(path)
    assert next(iter(VideoReader(path))).image.float().mean() == 255


def test_a_photographs_orientation_is_applied(tmp_path):
    picture = Image.new("RGB", (40, 30))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    picture.save(tmp_path / "a.jpg", exif=exif)
    info = probe(tmp_path / "a.jpg")
    assert (info.width_px, info.height_px) == (30, 40)


def test_limits_stop_with_a_warning(make_video):
    reader = VideoReader(make_video(), DecodeLimits(max_frames=6))
    assert sum(1 for _ in reader) == 6
    assert reader.decoded_ratio == pytest.approx(0.25, abs=0.01)
    assert "limit of 6 frames" in reader.warnings[0]
    reader = VideoReader(make_video(), DecodeLimits(max_seconds=1.0))
    assert [frame.time_s for frame in reader.at_rate(4)] == [0, 0.25, 0.5, 0.75]
    assert "limit of 1 seconds" in reader.warnings[0]


def test_huge_pictures_are_refused(make_video, tmp_path):
    with pytest.raises(MediaError, match="64x48 px are above the limit of 1000 pixels"):
        probe(make_video(), DecodeLimits(max_pixels=1000))
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match="too many pixels to be decoded safely"):
        probe(tmp_path / "bomb.png")


def test_sha256_is_the_files(make_video):
    path = make_video()
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_pixel_shape_is_applied(make_video):
    info = probe(make_video("a.mkv", sample_aspect="2:1", frames=2))
    assert (info.width_px, info.height_px) == (128, 48)


def test_pixel_shape_outlasts_the_pictures_before(make_video):
    pictures = open_source(make_video("a.mkv", sample_aspect="2:1", frames=12), DecodeLimits()).pictures()
    kept = list(pictures)
    del kept[:-2]
    assert [shown_size(picture.frame) for picture in kept] == [(128, 48)] * 2


def test_leaving_a_pass_early_closes_the_file(make_video):
    reader = VideoReader(make_video())
    assert len(list(islice(reader, 2))) == 2
    assert sum(1 for _ in reader) == 24


def test_long_video_needs_no_more_memory_than_a_short_one(make_video):
    """Peak memory of whole processes that sample 30 s and 300 s of the same kind of video."""
    script = textwrap.dedent("""
        import resource, sys
        from omnisila.media.video import VideoReader
        for _ in VideoReader(sys.argv[1]).with_luma(4.0, 3):
            pass
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """)
    peaks_kb = []
    for name, frames in (("short.mp4", 300), ("long.mp4", 3000)):
        path = make_video(name, frames=frames, rate_hz=10, width_px=160, height_px=120)
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
        peaks_kb.append(int(done.stdout))
    assert peaks_kb[1] < peaks_kb[0] + 20_000
