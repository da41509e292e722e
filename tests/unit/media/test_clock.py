"""Times of files whose timestamps start over, leap, lie or are missing, and what is said of them."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from omnisila.media.audio import read_sound
from omnisila.media.sampling import frames_at, uniform_times
from omnisila.media.video import VideoReader, probe
from omnisila.schema import Span

RATE_HZ = 12
Make = Callable[..., Path]


def numbers(frames, frame_level):
    """The places of frames among the first 22 that ``make_video`` draws."""
    levels = [frame_level(index) for index in range(22)]
    found = [int(frame.image[-3, -3].float().mean().round()) for frame in frames]
    return [int(np.abs(np.array(levels) - one).argmin()) for one in found]


def joined(make_video: Make, target: Path, start_s: float, second: int = 22, **options) -> Path:
    """Two recordings of 22 pictures in one file; the second one's timestamps begin at ``start_s``."""
    # from 1 s on: muxers move what would be decoded before 0
    first = make_video(f"one{target.suffix}", frames=22, start_s=1.0, **options)
    then = make_video(f"two{target.suffix}", frames=second, start_s=1.0 + start_s, **options)
    target.write_bytes(first.read_bytes() + then.read_bytes())
    return target


@pytest.mark.parametrize("name", ["joined.ts", "joined.mkv"])
@pytest.mark.parametrize("start_s", [0.0, 1.25])  # the second recording starts over, or half a second too early
def test_joined_recordings_run_on_with_every_picture(make_video, tmp_path, frame_level, name, start_s):
    reader = VideoReader(joined(make_video, tmp_path / name, start_s))
    frames = list(reader)
    assert numbers(frames, frame_level) == [*range(22), *range(22)]
    assert [frame.time_s for frame in frames] == pytest.approx([k / RATE_HZ for k in range(44)], abs=2e-3)
    assert reader.info.duration_s == pytest.approx(44 / RATE_HZ, abs=2e-3)
    assert (reader.decoded_ratio, reader.info.holes) == (1.0, ())
    (warning,) = reader.warnings
    assert warning.startswith("timestamps start anew at 1.8 s")


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def test_joined_fragments_run_on_with_every_picture(make_video, tmp_path, frame_level):
    reader = VideoReader(joined(make_video, tmp_path / "joined.mp4", 0.0, muxer_options=FRAGMENTS))
    assert numbers(reader, frame_level) == [*range(22), *range(22)]
    assert reader.info.duration_s == pytest.approx(44 / RATE_HZ, abs=2e-3)
    assert reader.decoded_ratio == 1.0


@pytest.mark.parametrize("name", ["joined.mp4", "joined.flv"])
def test_a_second_video_that_cannot_be_reached_is_told(make_video, tmp_path, name):
    reader = VideoReader(joined(make_video, tmp_path / name, 0.0, codec="libx264"))
    assert len(list(reader)) == 22
    assert "another video begins at byte" in reader.warnings[0]


@pytest.mark.parametrize("name", ["joined.mkv", "joined.avi"])
def test_of_three_recordings_all_is_read_or_told(make_video, tmp_path, name):
    parts = [make_video(name, frames=22, codec="mpeg4").read_bytes()] * 3
    (tmp_path / name).write_bytes(b"".join(parts))
    reader = VideoReader(tmp_path / name)
    told = any(f"another video begins at byte {2 * len(parts[0])} " in warning for warning in reader.warnings)
    assert len(list(reader)) == (44 if told else 66)
    assert not any("is no part of it" in warning for warning in reader.warnings)


MADE_WITH = {
    "avi": {"codec": "mpeg4"}, "mpg": {"codec": "libx264"}, "wmv": {"codec": "wmv2"},
    "gif": {"codec": "gif", "pixel_format": "rgb8"},
}  # fmt: skip


@pytest.mark.parametrize("first", ["a.ts", "a.mp4", "a.mkv", "a.avi", "a.flv", "a.mpg", "a.wmv", "a.gif"])
@pytest.mark.parametrize("second", ["b.mp4", "b.mkv", "b.flv", "b.ts", "b.avi", "b.mpg", "b.wmv", "b.gif"])
def test_a_file_of_another_format_behind_is_told(make_video, tmp_path, first, second):
    if first[2:] == second[2:]:
        return  # how they are read on is another test's
    parts = [make_video(name, frames=22, **MADE_WITH.get(name[2:], {"codec": "libx264"})) for name in (first, second)]
    (path := tmp_path / f"joined{parts[0].suffix}").write_bytes(b"".join(part.read_bytes() for part in parts))
    alone, reader = VideoReader(parts[0]), VideoReader(path)
    assert len(list(reader)) == len(list(alone))
    assert reader.info.duration_s == alone.info.duration_s
    assert reader.decoded_ratio == alone.decoded_ratio
    assert any(f"another video begins at byte {parts[0].stat().st_size} " in warning for warning in reader.warnings)
    assert set(alone.warnings) <= set(reader.warnings)


def test_of_fragments_and_a_plain_mp4_the_first_is_read_and_the_other_told(make_video, tmp_path):
    parts = [make_video("a.mp4", frames=22), make_video("b.mp4", frames=22, muxer_options=FRAGMENTS)]
    for order in (parts, parts[::-1]):
        (path := tmp_path / "joined.mp4").write_bytes(b"".join(part.read_bytes() for part in order))
        reader = VideoReader(path)
        assert len(list(reader)) == 22
        assert any(f"begins at byte {order[0].stat().st_size} " in warning for warning in reader.warnings)


def test_a_video_behind_a_picture_is_told(make_video, tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg")
    size = (tmp_path / "a.jpg").stat().st_size
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + make_video("b.mp4", frames=5).read_bytes())
    assert VideoReader(tmp_path / "a.jpg").warnings == (
        f"another video begins at byte {size} of the file and is not read: give it as a file of its own",
    )


WRITTEN = {"a.mts": {"mpegts_m2ts_mode": "1"}, "live.mkv": {"live": "1"}}
ENDING = ["a.mp4", "a.mkv", "live.mkv", "a.avi", "a.flv", "a.ts", "a.mts", "a.mpg", "a.gif"]


@pytest.mark.parametrize("name", [*ENDING, "a.jpg", "a.png", "a.bmp", "a.webp"])
@pytest.mark.parametrize("behind", ["b.jpg", "b.h264", "zeros"])
def test_what_stands_behind_the_end_is_told(make_video, tmp_path, name, behind):
    path, known = tmp_path / name, {**MADE_WITH.get(name[2:], {"codec": "libx264"})}
    if name in WRITTEN:
        known["muxer_options"] = WRITTEN[name]
    if name[2:] in ("jpg", "png", "bmp", "webp"):
        Image.new("RGB", (64, 48)).save(path)
    else:
        path = make_video(name, frames=22, **known)
    alone = VideoReader(path)
    before, end = len(list(alone)), path.stat().st_size
    Image.new("RGB", (64, 48)).save(tmp_path / "b.jpg")
    (tmp_path / "zeros").write_bytes(bytes(5000))
    more = make_video(behind, frames=5, codec="libx264") if behind == "b.h264" else tmp_path / behind
    path.write_bytes(path.read_bytes() + more.read_bytes())
    reader = VideoReader(path)
    assert len(list(reader)) == before
    told = f"what stands from byte {end} of the file on is no part of it and is not read: give joined files one by one"
    assert reader.warnings == (alone.warnings if behind == "zeros" else (*alone.warnings, told))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_title_behind_a_file_is_nothing_to_tell(make_video, name):
    path = make_video(name, frames=22)
    path.write_bytes(path.read_bytes() + b"TAG" + b"a title".ljust(125, b"\0"))
    assert VideoReader(path).warnings == ()


@pytest.mark.parametrize("name", ["a.ts", "a.mts", "a.mpg"])
@pytest.mark.parametrize("missing", [0, 100, 1000])
def test_a_stream_is_read_from_anywhere(make_video, name, missing):
    path = make_video(name, frames=48, codec="libx264", options={"g": "6"}, muxer_options=WRITTEN.get(name, {}))
    path.write_bytes(path.read_bytes()[missing:])
    reader = VideoReader(path)
    assert len(list(reader)) >= (20 if missing else 48)  # small pictures share packets
    assert not any("another video" in warning or "no part of it" in warning for warning in reader.warnings)


@pytest.mark.parametrize(
    ("name", "made_with"),
    [("a.h264", ("libx264", "yuv420p")), ("a.mjpg", ("mjpeg", "yuvj420p")), ("a.ivf", ("libvpx", "yuv420p"))],
)
def test_of_raw_streams_one_behind_another_all_is_read_or_told(make_video, tmp_path, name, made_with):
    alone = make_video(name, frames=22, codec=made_with[0], pixel_format=made_with[1])
    (path := tmp_path / f"joined{alone.suffix}").write_bytes(2 * alone.read_bytes())
    reader = VideoReader(path)
    told = [warning for warning in reader.warnings if f"begins at byte {alone.stat().st_size} " in warning]
    assert len(list(reader)) == (22 if name == "a.ivf" else 44)
    assert len(told) == (name == "a.ivf")


def test_a_leap_over_more_than_a_year_is_no_time_without_pictures(make_video, tmp_path):
    reader = VideoReader(joined(make_video, tmp_path / "joined.mkv", 4e8))
    assert len(list(reader.at_rate(RATE_HZ))) == 44
    assert (reader.info.holes, reader.decoded_ratio) == ((), 1.0)
    assert reader.warnings == ("timestamps start anew at 1.8 s: what follows is counted on from there",)


def test_a_cut_fragment_is_told(make_video, tmp_path):
    whole = make_video("whole.mp4", frames=48, muxer_options=FRAGMENTS, options={"g": "12"})
    (path := tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    reader = VideoReader(path)
    assert 12 <= len(list(reader)) < 48
    assert reader.decoded_ratio < 1.0
    assert any("cut off" in warning for warning in reader.warnings)


def test_a_place_in_the_second_recording_is_found_again(make_video, tmp_path, frame_level):
    path = joined(make_video, tmp_path / "joined.ts", 0.0, second=60)
    reader = VideoReader(path)
    wanted = [frame for frame in reader.at_rate(4) if 4.0 <= frame.time_s < 6.0]
    assert numbers(reader.at_rate(4, start_s=4.0, end_s=6.0), frame_level) == numbers(wanted, frame_level)
    assert len({*numbers(frames_at(path, [0.5, 2.0, 3.5]), frame_level)}) == 3


@pytest.mark.parametrize("hole_s", [30.0, 40_000.0])
def test_a_hole_in_time_costs_nothing_and_is_left_out(make_video, tmp_path, frame_level, hole_s):
    begin_s = 22 / RATE_HZ
    reader = VideoReader(joined(make_video, tmp_path / "holed.ts", begin_s + hole_s))
    sampled = list(reader.with_luma(4, 3))
    times_s = [sample.frame.time_s for sample in sampled]
    assert len(times_s) == 15
    assert times_s[:8] == [k / 4 for k in range(8)]
    assert times_s[8] == pytest.approx(begin_s + hole_s, abs=0.25)
    assert all(sample.frame.time_s <= luma.time_s + 0.1 for sample in sampled for luma in sample.lumas)
    assert numbers([sample.frame for sample in sampled[8:]], frame_level)[0] <= 3
    assert reader.info.duration_s == pytest.approx(44 / RATE_HZ + hole_s, abs=2e-3)
    (hole,) = reader.info.holes
    assert (hole.start_s, hole.end_s) == pytest.approx((begin_s, begin_s + hole_s), abs=2e-3)
    assert reader.decoded_ratio == 1.0
    assert any("the file has no pictures for 1.8-" in warning for warning in reader.warnings)


def test_pictures_that_begin_long_after_the_sound_leave_a_hole_before_them(make_video):
    reader = VideoReader(make_video("a.mp4", start_s=8.0, audio_s=1.0))
    assert next(reader.at_rate(4)).time_s == pytest.approx(8.0, abs=0.25)
    assert reader.decoded_ratio == 1.0
    assert "no pictures for 0.0-8.0 s" in reader.warnings[0]


def test_a_lone_stray_timestamp_moves_nothing_else(make_video, tmp_path, frame_level):
    parts = [(22, 1.0), (1, 900.0), (21, 1.0 + 23 / RATE_HZ)]
    files = [make_video(f"{start_s}.ts", frames=count, start_s=start_s) for count, start_s in parts]
    (tmp_path / "a.ts").write_bytes(b"".join(file.read_bytes() for file in files))
    reader = VideoReader(tmp_path / "a.ts")
    frames = list(reader)
    assert numbers(frames, frame_level) == [*range(22), 0, *range(21)]
    assert [frame.time_s for frame in frames] == pytest.approx([k / RATE_HZ for k in range(44)], abs=2e-3)
    assert (reader.decoded_ratio, reader.info.holes) == (1.0, ())
    assert reader.warnings == ("timestamps at 1.8 s are not believed: counted on",)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_variable_rate_is_no_damage(make_video, name):
    times_s = [*(k / RATE_HZ for k in range(40)), 5.0, 7.5, 11.0, *(14.0 + k / RATE_HZ for k in range(40))]
    reader = VideoReader(make_video(name, times_s=times_s, rate_hz=RATE_HZ))
    assert [frame.time_s for frame in reader] == pytest.approx(times_s, abs=1e-3)
    assert len(list(reader.at_rate(4))) == int(4 * (14.0 + 40 / RATE_HZ)) + 1
    assert (reader.decoded_ratio, reader.warnings, reader.info.holes) == (1.0, (), ())


def test_timestamps_that_stand_still_are_told(make_video, tmp_path):
    source, target = make_video("good.mkv", frames=36, codec="mpeg4"), tmp_path / "frozen.mkv"
    with av.open(str(source)) as opened, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(opened.streams.video[0])
        for packet in opened.demux(video=0):
            if packet.size:
                packet.pts = packet.dts = min(packet.pts, 1000)  # milliseconds
                packet.stream = stream
                output.mux(packet)
    reader = VideoReader(target)
    list(reader)
    assert any("pictures have the time of the one before them" in warning for warning in reader.warnings)


def test_slow_cameras_have_no_holes(make_video):
    reader = VideoReader(make_video("a.mkv", times_s=[10.0 * k for k in range(6)]))
    assert len(list(reader.at_rate(1))) > 50
    assert (reader.info.holes, reader.warnings) == ((), ())


@pytest.mark.parametrize(
    ("codec", "options"),
    [("libx264", {"bf": "3", "b-adapt": "0", "g": "24", "crf": "4"}), ("mpeg4", {"bf": "2", "g": "12", "qmax": "2"})],
)
def test_reordered_pictures_in_avi_keep_their_order_and_number(make_video, frame_level, codec, options):
    reader = VideoReader(make_video("a.avi", codec=codec, frames=66, options=options))
    frames = list(reader)
    assert numbers(frames, frame_level) == [*range(22)] * 3
    assert [frame.time_s for frame in frames] == pytest.approx([k / RATE_HZ for k in range(66)], abs=1e-3)
    assert (reader.decoded_ratio, reader.warnings) == (1.0, ())


def test_h264_in_a_program_stream_whose_packets_have_few_times_keeps_its_order(make_video, frame_level):
    options = {"bf": "3", "b-adapt": "0", "g": "24", "crf": "4"}
    reader = VideoReader(make_video("a.mpg", codec="libx264", frames=66, rate_hz=25, options=options))
    frames = list(reader)
    assert numbers(frames, frame_level) == [*range(22)] * 3
    assert [frame.time_s for frame in frames] == pytest.approx([k / 25 for k in range(66)], abs=2e-3)
    assert (reader.decoded_ratio, reader.warnings) == (1.0, ())


def test_damage_in_an_avi_with_reordered_pictures_is_told_and_moves_nothing_behind_it(make_video, frame_level):
    path = make_video("a.avi", codec="libx264", frames=88, options={"bf": "2", "b-adapt": "0", "g": "22", "crf": "4"})
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in places[25:40]:  # within their chunks
        data[place + 5 : place + size] = bytes(size - 5)
    path.write_bytes(data)
    reader = VideoReader(path)
    frames = list(reader)
    places = [round(frame.time_s * RATE_HZ) for frame in frames]
    shown = dict(zip(places, numbers(frames, frame_level), strict=True))
    assert [shown[k] for k in range(66, 88)] == list(range(22))
    assert 0.5 < reader.decoded_ratio < 0.95
    assert any("could not be decoded" in warning for warning in reader.warnings)


def test_a_start_between_key_pictures_is_told_and_counted(make_video, tmp_path, frame_level):
    whole = make_video("whole.ts", frames=44, options={"g": "22", "bf": "2", "crf": "4"})
    with av.open(str(whole)) as container:
        packets = [(packet.pos, packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
    (tmp_path / "a.ts").write_bytes(whole.read_bytes()[packets[10][0] :])
    key = next(number for number, (_, is_key) in enumerate(packets) if is_key and number > 10)
    reader = VideoReader(tmp_path / "a.ts")
    frames = list(reader)
    assert numbers(frames, frame_level)[:3] == [number % 22 for number in range(key, key + 3)]
    lost_s = frames[0].time_s
    assert 0.5 < lost_s < 1.2
    assert reader.decoded_ratio == pytest.approx(1 - lost_s / reader.info.duration_s, abs=0.02)
    assert reader.warnings[0].startswith(f"0.0-{lost_s:.1f} s could not be decoded")


def stated(path: Path, duration_s: float) -> Path:
    """The file with another length in its header."""
    data = bytearray(path.read_bytes())
    if path.suffix in (".mkv", ".webm"):
        at = data.find(b"\x44\x89\x88")
        struct.pack_into(">d", data, at + 3, duration_s * 1000)
    elif path.suffix == ".flv":
        struct.pack_into(">d", data, data.find(b"duration\0") + 9, duration_s)
    else:
        frames = round(duration_s * RATE_HZ)
        struct.pack_into("<I", data, data.find(b"avih") + 24, frames)
        struct.pack_into("<I", data, data.find(b"strh") + 40, frames)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("duration_s", [0.5, 3600.0])
@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.flv", "a.avi"])
def test_a_wrong_length_in_the_header_is_told_and_not_believed(make_video, name, duration_s):
    reader = VideoReader(stated(make_video(name, frames=44), duration_s))
    assert len(list(reader)) == 44
    assert len(list(reader.at_rate(4))) == 15
    assert reader.info.duration_s == pytest.approx(44 / RATE_HZ, abs=2e-3)
    assert reader.decoded_ratio == 1.0
    (warning,) = reader.warnings
    assert warning.startswith(f"the file states a length of {duration_s:.1f} s")


@pytest.mark.parametrize("name", ["a.mkv", "a.flv", "a.avi", "a.webm", "a.wmv"])
def test_what_is_missing_of_a_file_that_was_cut_off_counts(make_video, name):
    path = make_video(name, frames=88)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    reader = VideoReader(path)
    count = sum(1 for _ in reader)
    assert re.search("it was cut off|the file ends early", reader.warnings[0])
    if name in ("a.avi", "a.wmv"):  # without its index libav forgets what the header stated
        return
    assert reader.decoded_ratio == pytest.approx(count / 88, abs=0.05)


def test_sound_runs_on_the_same_clock(make_video, tmp_path):
    path = joined(make_video, tmp_path / "holed.ts", 22 / RATE_HZ + 30.0, audio_s=1.0)
    assert probe(path).duration_s > 30
    clip = stated(make_video("a.mkv", frames=120 * RATE_HZ, audio_s=118.0), 1.0)
    late = read_sound(clip, 100.0, 101.0)
    assert late.heard_s == pytest.approx((100.0, 101.0), abs=0.05)
    assert late.present
    again = joined(make_video, tmp_path / "again.ts", 0.0, audio_s=22 / RATE_HZ)
    assert read_sound(again, 2.5, 3.0).present


def test_times_are_spread_over_what_has_pictures():
    holes = (Span(start_s=4.0, end_s=34.0),)
    assert uniform_times(0.0, 38.0, 5, ends=True, holes=holes) == pytest.approx((0.0, 2.0, 34.0, 36.0, 38.0))
    assert uniform_times(10.0, 38.0, 2, holes=holes) == pytest.approx((35.0, 37.0))
