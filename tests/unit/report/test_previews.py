"""Pictures and clips of a page: of the right moments, within their bytes, and without a face where none is wanted."""

import base64
import io
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.media.video import VideoReader
from omnisila.report import previews
from omnisila.report.faces import FaceFinder, FaceFinderConfig
from omnisila.report.page import render_page
from omnisila.report.previews import collect_media, thumbnail

SIDE_PX, TOP_PX, STEP_PX = 90, 30, 3
FACE = np.s_[22:66, 24:66]  # of the head's picture: forehead to chin


def opened(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


def decoded(mp4: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(mp4)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def noisy(index, width_px, height_px):
    return np.random.default_rng(index).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """The head of a photograph (NASA, public domain)."""
    photograph = Image.open(Path(__file__).parents[2] / "fixtures" / "astronaut.jpg")
    return np.array(photograph.crop((72, 18, 152, 98)).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinderConfig().build()


@pytest.fixture
def walk(make_video, head):
    """A head that crosses a grey wall in 3 s, 12 frames a second."""

    def paint(index, width_px, height_px):
        picture = np.full((height_px, width_px, 3), 120, np.uint8)
        left = left_px(index)
        picture[TOP_PX : TOP_PX + SIDE_PX, left : left + SIDE_PX] = head
        return picture

    return make_video("walk.mp4", frames=36, width_px=320, height_px=180, paint=paint)


def left_px(index: int) -> int:
    return 20 + STEP_PX * index


def likeness(picture: np.ndarray, head: np.ndarray, left: int) -> float:
    """How much of the true face's structure is in a picture where the face should be: 1 all of it, 0 none."""
    if picture.shape[1] != 320:
        picture = np.array(Image.fromarray(picture).resize((320, 180), Image.Resampling.LANCZOS))
    there = picture[TOP_PX : TOP_PX + SIDE_PX, left : left + SIDE_PX][FACE].astype(float).mean(2)
    true = head[FACE].astype(float).mean(2)
    there, true = there - there.mean(), true - true.mean()
    fine_there, fine_true = (np.diff(np.diff(one, axis=0), axis=1) for one in (there, true))
    return float((fine_there * fine_true).sum() / (fine_true**2).sum())


def test_each_finding_has_its_frames_and_its_clip(make_video, make_analysis, make_finding, frame_level):
    path = make_video(frames=240, width_px=640, height_px=480)
    record = make_analysis(make_finding(2, 6), make_finding(10, 11, "positive"))
    media = collect_media(path, record)
    first, second = media.findings
    assert [2 <= frame.time_s < 6 for frame in first.frames] == [True] * 3
    assert first.frames[0].time_s == 2.5, "where the evidence is"
    assert len(second.frames) == 1
    assert (first.clip.start_s, first.clip.end_s) == (1.0, 7.0), "with a second of context"
    pictures = decoded(first.clip.mp4)
    assert max(pictures[0].shape) == 480
    assert pictures[0][-5, -5].mean() == pytest.approx(frame_level(12), abs=4)
    assert opened(first.frames[0].jpeg)[-5, -5].mean() == pytest.approx(frame_level(30), abs=4)
    assert media.poster is None
    assert not media.faces_blurred


def test_a_long_finding_is_shown_around_the_peak_of_its_curve(make_video, make_analysis, make_finding):
    path = make_video(frames=50, rate_hz=1, options={"g": "10"})
    record = make_analysis(make_finding(1, 48), duration_s=50.0)
    clip = collect_media(path, record).findings[0].clip
    assert (clip.start_s, clip.end_s) == (0.0, 12.0), "the peak is at 3 s"
    late = [one.replace(score=0.9) if one.start_s == 46 else one for one in record.anomaly_curve]
    clip = collect_media(path, record.replace(anomaly_curve=tuple(late))).findings[0].clip
    assert (clip.start_s, clip.end_s) == (37.0, 49.0)


def test_a_video_without_findings_shows_its_peak(make_video, make_analysis, frame_level):
    media = collect_media(make_video(frames=240), make_analysis())
    assert media.findings == ()
    assert media.poster.time_s == 3.5
    assert opened(media.poster.jpeg)[-5, -5].mean() == pytest.approx(frame_level(42), abs=4)


@pytest.mark.parametrize("max_bytes", [1_000_000, 120_000, 2_000])
def test_everything_together_keeps_to_its_bytes(make_video, make_analysis, make_finding, max_bytes):
    path = make_video(frames=48, width_px=320, height_px=240, paint=noisy, options={"crf": "28", "preset": "ultrafast"})
    record = make_analysis(*(make_finding(k / 2, k / 2 + 1, score=0.5 + k / 20) for k in range(6)), duration_s=4.0)
    media = collect_media(path, record, max_bytes=max_bytes)
    page = render_page(record, media, None)
    bare = render_page(record, previews.PageMedia((previews.FindingMedia(),) * 6), None)
    shown = [frame.jpeg for found in media.findings for frame in found.frames]
    shown += [found.clip.mp4 for found in media.findings if found.clip is not None]
    assert sum(len(base64.b64encode(data)) for data in shown) <= max_bytes
    assert len(page) - len(bare) <= max_bytes + 6 * 8000, "the rest is what is drawn over the pictures"
    if max_bytes > 100_000:
        assert media.findings[-1].frames, "the strongest finding is served first"
        assert media.findings[-1].clip
    assert previews.MAX_EMBEDDED_BYTES <= 30_000_000


def test_many_findings_have_one_frame_each_and_the_strongest_have_clips(
    make_video, make_analysis, make_finding, monkeypatch
):
    monkeypatch.setattr(previews, "_MAX_CLIPS", 2)
    found = [make_finding(k, k + 3, score=0.5 + k / 100) for k in range(0, 45)]
    media = collect_media(make_video(frames=48, rate_hz=1), make_analysis(*found, duration_s=48.0))
    assert [len(one.frames) for one in media.findings] == [1] * 45
    assert [number for number, one in enumerate(media.findings) if one.clip] == [43, 44]


def test_what_cannot_be_read_is_left_out(make_bad_file, make_analysis, make_finding):
    path = make_bad_file("a.mkv", "short")
    media = collect_media(path, make_analysis(make_finding(0, 2), make_finding(15, 17)))
    assert media.findings[0].frames
    assert media.findings[0].clip
    assert media.findings[1].clip is None


def test_blurred_media_hold_no_face(walk, head, make_analysis, make_finding, finder):
    """Every picture and every frame of every clip is compared with the true face at its true place."""
    record = make_analysis(make_finding(0.5, 2.5), duration_s=3.0)
    plain = collect_media(walk, record)
    hidden = collect_media(walk, record, blur_faces=True, finder=finder)
    assert hidden.faces_blurred
    for media, check in ((plain, lambda value: value > 0.5), (hidden, lambda value: abs(value) < 0.08)):
        (shown,) = media.findings
        assert len(shown.frames) == 2
        for frame in shown.frames:
            assert check(likeness(opened(frame.jpeg), head, left_px(round(frame.time_s * 12 - 0.49)))), frame.time_s
        pictures = decoded(shown.clip.mp4)
        assert len(pictures) == 36
        for index, picture in enumerate(pictures):
            assert check(likeness(picture, head, left_px(index))), index
    quiet = collect_media(walk, make_analysis(duration_s=3.0), blur_faces=True, finder=finder)
    assert abs(likeness(opened(quiet.poster.jpeg), head, left_px(int(quiet.poster.time_s * 12)))) < 0.08


def test_a_blurred_page_embeds_only_blurred_pictures(walk, head, make_analysis, make_finding, finder, parsed):
    record = make_analysis(make_finding(0.5, 2.5), duration_s=3.0)
    media = collect_media(walk, record, blur_faces=True, finder=finder)
    page = parsed(render_page(record, media, "walk.mp4"))
    shown = [image["src"] for image in page.all("img") if image.get("src")]
    assert len(shown) == 2
    for source in shown:
        picture = opened(base64.b64decode(source.removeprefix("data:image/jpeg;base64,")))
        assert max(abs(likeness(picture, head, left_px(index))) for index in range(36)) < 0.2
    assert "Faces are blurred" in page.text


def test_a_thumbnail_is_small_and_blurred_on_demand(walk, head, make_analysis, make_finding):
    record = make_analysis(make_finding(0.5, 1.5), duration_s=3.0)
    plain, hidden = (opened(thumbnail(walk, record, blur)) for blur in (False, True))
    assert plain.shape == (135, 240, 3)
    assert likeness(plain, head, left_px(12)) > 0.2
    assert abs(likeness(hidden, head, left_px(12))) < 0.08


def test_heads_without_a_visible_face_are_guessed_from_people(finder):
    """A fifth of who stands, most of who fills the view."""
    people = torch.tensor([[0.4, 0.1, 0.5, 0.9], [0.0, 0.0, 1.0, 1.0]])
    heads = finder._upper(people, aspect=16 / 9)
    assert (heads[:, 3] - heads[:, 1]).tolist() == pytest.approx([0.16, 0.889], abs=0.01)
    assert people[0, 3] == pytest.approx(0.9), "the boxes given stay as they are"


def test_a_moving_face_is_hidden_on_its_whole_way(finder, walk):
    at = finder.along(VideoReader(walk).at_rate(2.0))
    for time_s in np.arange(0, 2.5, 1 / 12):
        left = left_px(round(time_s * 12)) / 320
        boxes = at(float(time_s))
        assert any(box.left_frac <= left + 0.09 and box.right_frac >= left + 0.2 for box in boxes), time_s
    assert finder.along([])(1.0) == ()
