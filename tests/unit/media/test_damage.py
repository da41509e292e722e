"""Files that are no videos end in one clear line; files that are damaged give what can be read, and say so."""

import os

import av
import pytest
from av.stream import Disposition
from PIL import Image

from omnisila.errors import MediaError
from omnisila.media.video import VideoReader, probe


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("a.mp4", "empty", "the file is empty (0 bytes)"),
        ("a.mp4", "text", "not a video that can be opened"),
        ("a.mp4", "sound", "no video stream (found: audio aac). Give a file that has one."),
        ("a.wav", "sound", "no video stream (found: audio pcm_s16le). Give a file that has one."),
        ("a.mp4", "cut", "its index (moov) is missing"),
        ("a.mp4", "unknown", "no decoder for its video codec"),
        ("a.mp4", "hollow", "holds no pictures"),
        ("a.mkv", "hollow", "ends before its first picture"),
    ],
)
def test_what_is_no_video_ends_in_one_clear_line(make_bad_file, name, kind, words):
    path = make_bad_file(name, kind)
    with pytest.raises(MediaError) as caught:
        probe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


def test_missing_paths_folders_and_devices_are_named(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        probe(tmp_path / "absent.mp4")
    with pytest.raises(MediaError, match="a folder, not a video"):
        probe(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="not a regular file"):
        probe(tmp_path / "pipe.mp4")


def test_a_playlist_opens_no_other_file(make_video, tmp_path):
    make_video("secret.mp4")
    for name, text in (
        ("a.ffconcat", "ffconcat version 1.0\nfile secret.mp4\n"),
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.mp4\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(MediaError, match="a playlist"):
            probe(tmp_path / name)


def test_a_damaged_middle_is_left_out_and_reported(make_bad_file):
    reader = VideoReader(make_bad_file("a.mp4", "damaged"))
    times_s = [frame.time_s for frame in reader.at_rate(4)]
    assert times_s == [k / 4 for k in range(40)]
    assert 0.5 < reader.decoded_ratio < 0.99
    (warning,) = reader.warnings
    assert "could not be decoded" in warning
    start_s, end_s = (float(word) for word in warning.split(" s could")[0].split()[-1].split("-"))
    assert 3.0 < start_s < end_s < 8.0
    assert end_s - start_s >= 10.0 * (1 - reader.decoded_ratio) - 0.1


def test_a_file_that_ends_early_gives_its_beginning(make_bad_file):
    reader = VideoReader(make_bad_file("a.mkv", "short"))
    times_s = [frame.time_s for frame in reader.at_rate(4)]
    assert 2.0 < times_s[-1] < 8.0
    assert reader.decoded_ratio == pytest.approx(times_s[-1] / 10, abs=0.05)
    assert "although the file states 10.0 s" in reader.warnings[0]


def test_an_mp4_whose_end_is_missing_gives_its_beginning(make_video, tmp_path):
    whole = make_video("whole.mp4", frames=120, muxer_options={"movflags": "+faststart"}).read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    reader = VideoReader(tmp_path / "a.mp4")
    assert 24 < sum(1 for _ in reader) < 110
    assert 0.2 < reader.decoded_ratio < 0.95
    assert "although the file states 10.0 s" in reader.warnings[-1]


def test_a_damaged_picture_file_is_refused(tmp_path):
    Image.effect_noise((200, 200), 90).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match="the picture is damaged"):
        probe(tmp_path / "cut.png")


def test_cover_art_is_no_video(tmp_path):
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
        stream.disposition = Disposition.attached_pic
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuvj420p")))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match="cover picture"):
        probe(tmp_path / "song.mp4")


def test_libav_prints_nothing(make_bad_file, capfd):
    for _ in VideoReader(make_bad_file("a.mp4", "damaged")):
        pass
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
