"""Previews: playable by browsers, within their bytes, at the right time, faces gone."""

import io

import av
import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.errors import MediaError
from omnisila.media.clips import blur_boxes, cut, jpeg
from omnisila.media.video import VideoReader
from omnisila.schema import Box

BOX = Box(left_frac=0.2, top_frac=0.2, right_frac=0.6, bottom_frac=0.7)


def noisy(index, width_px, height_px):
    return np.random.default_rng(index).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)


def read(data):
    with av.open(io.BytesIO(data)) as container:
        (stream,) = container.streams
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return stream.codec_context, stream.duration * stream.time_base, pictures


def test_a_clip_is_what_browsers_play(make_video, frame_level):
    data = cut(make_video(frames=96, width_px=641, height_px=361, pixel_format="yuv444p"), 3.0, 5.0, 10**6)
    codec, duration_s, pictures = read(data)
    assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    assert codec.width == 480
    assert codec.height % 2 == 0
    assert float(duration_s) == pytest.approx(2.0, abs=0.01)
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(pictures) == 24
    assert pictures[0][-5, -5].mean() == pytest.approx(frame_level(36), abs=4)
    assert pictures[-1][-5, -5].mean() == pytest.approx(frame_level(59), abs=4)


@pytest.mark.parametrize("max_bytes", [200_000, 40_000, 12_000])
def test_a_clip_keeps_to_its_bytes(make_video, max_bytes):
    path = make_video(frames=24, width_px=320, height_px=240, paint=noisy, options={"crf": "28"})
    data = cut(path, 0.0, 2.0, max_bytes)
    assert len(data) <= max_bytes
    assert read(data)[2]


def test_a_clip_that_cannot_fit_or_does_not_exist_is_refused(make_video):
    path = make_video()
    with pytest.raises(MediaError, match="cannot be shown in 100 bytes"):
        cut(path, 0.0, 2.0, 100)
    with pytest.raises(MediaError, match="no pictures between 50"):
        cut(path, 50.0, 51.0, 10**6)


def test_tiny_and_still_sources_make_clips_too(make_video, tmp_path):
    assert read(cut(make_video("a.mkv", codec="ffv1", pixel_format="yuv444p", width_px=1, height_px=1), 0, 1, 10**5))[2]
    Image.new("RGB", (33, 21)).save(tmp_path / "a.png")
    codec, duration_s, _ = read(cut(tmp_path / "a.png", 0.0, 1.0, 10**5))
    assert (codec.width, codec.height, float(duration_s)) == (32, 20, pytest.approx(1.0))


def test_blurring_follows_the_boxes_of_each_time(make_video):
    path = make_video(frames=24, width_px=160, height_px=120, paint=noisy, options={"crf": "10"})
    asked_s = []

    def blur_at(time_s):
        asked_s.append(time_s)
        return [BOX] if time_s >= 1.0 else []

    pictures = read(cut(path, 0.0, 2.0, 10**6, blur_at=blur_at))[2]
    assert asked_s == pytest.approx([k / 12 for k in range(24)])
    inside = [picture[35:70, 45:85].std() for picture in pictures]
    assert min(inside[:12]) > 3 * max(inside[12:])


def test_blur_leaves_the_rest_and_the_original_alone():
    image = torch.randint(0, 256, (100, 100, 3), dtype=torch.uint8)
    before = image.clone()
    result = blur_boxes(image, [BOX])
    assert torch.equal(image, before)
    assert torch.equal(result[80:], image[80:])
    assert result[25:65, 25:55].float().std() < image[25:65, 25:55].float().std() / 3
    assert blur_boxes(image, []) is image


def test_jpeg_is_small_and_right(make_video):
    image = next(iter(VideoReader(make_video(width_px=640, height_px=480)))).image
    picture = Image.open(io.BytesIO(jpeg(image, long_side_px=160)))
    assert (picture.format, picture.size) == ("JPEG", (160, 120))
    assert picture.getpixel((5, 5)) == pytest.approx((220, 20, 20), abs=12)
