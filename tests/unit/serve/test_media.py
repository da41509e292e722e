"""The player's pictures: files in ranges, previews of what a browser cannot play, and nothing outside the folders."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from fastapi.testclient import TestClient

from omnisila.serve.previews import Stretch
from tests.conftest import write_video
from tests.unit.serve.conftest import analysed
from tools.page_picture import draw

Serve = Callable[..., TestClient]


def report_of(client: TestClient, folder: str) -> int:
    return client.get("/api/queue", params={"folder": folder}).json()["findings"][0]["report"]


def test_the_original_is_given_in_ranges(serve: Serve, reports: Path) -> None:
    client = serve()
    path = f"/api/videos/{report_of(client, 'north')}"
    content = (reports / "north/a.mp4").read_bytes()
    assert client.get(f"{path}/media").json()["show"] == "original"
    whole = client.get(f"{path}/original")
    assert (whole.status_code, whole.content) == (200, content)
    part = client.get(f"{path}/original", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert client.get(f"{path}/original", headers={"range": "bytes=99999999-"}).status_code == 416
    assert client.head(f"{path}/original").headers["content-length"] == str(len(content))


def test_what_a_browser_cannot_play_gets_a_preview_that_is_kept(serve: Serve, reports: Path) -> None:
    (reports / "odd").mkdir()
    video = write_video(reports / "odd/clip.avi", frames=60)
    (reports / "odd/clip.avi.json").write_text(analysed(video, 1, 5.0).model_dump_json())
    client = serve()
    path = f"/api/videos/{report_of(client, 'odd')}"
    assert client.get(f"{path}/media").json()["show"] == "preview"
    assert client.get(f"{path}/original").status_code == 404
    shown = client.get(f"{path}/preview", params={"start_s": 1.4, "end_s": 2.2})
    assert shown.headers["content-type"] == "video/mp4"
    (reports / "preview.mp4").write_bytes(shown.content)
    with av.open(str(reports / "preview.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == 24  # two whole seconds
    kept = list((reports / ".omnisila/review/previews").iterdir())
    assert client.get(f"{path}/preview", params={"start_s": 1.1, "end_s": 2.9}).content == shown.content
    assert list((reports / ".omnisila/review/previews").iterdir()) == kept


def test_with_blurred_faces_the_original_is_never_given(serve: Serve) -> None:
    client = serve(blur_faces=True)
    path = f"/api/videos/{report_of(client, 'north')}"
    assert client.get(f"{path}/media").json()["show"] == "preview"
    assert client.get(f"{path}/original").status_code == 404


def test_a_preview_hides_faces_where_they_are_to_be_blurred(serve: Serve, reports: Path) -> None:
    video = reports / "face/smile.mp4"
    video.parent.mkdir()
    draw(video)
    (reports / "face/smile.mp4.json").write_text(analysed(video, 1, 5.0).model_dump_json())

    def edges(client: TestClient) -> float:
        """How much neighbouring pixels differ while the face fills the picture."""
        path = f"/api/videos/{report_of(client, 'face')}/preview"
        content = client.get(path, params={"start_s": 6, "end_s": 7}).content
        with av.open(io.BytesIO(content)) as container:
            grey = next(container.decode(video=0)).to_ndarray(format="gray").astype(float)
        return float(np.abs(np.diff(grey)).mean())

    plain = edges(serve())
    assert edges(serve(blur_faces=True)) < 0.7 * plain


@pytest.mark.parametrize("place", ["../secret.mp4", "{outside}/secret.mp4", "north/link.mp4"])
def test_no_analysis_reaches_out_of_the_folders(serve: Serve, reports: Path, place: str) -> None:
    outside = reports.parent
    secret = write_video(outside / "secret.mp4", frames=24)
    (reports / "north/link.mp4").symlink_to(secret)
    content = json.loads(analysed(secret, 1, 2.0).model_dump_json())
    content["video"]["path"] = place.format(outside=outside)
    (reports / "evil").mkdir()
    (reports / "evil/report.json").write_text(json.dumps(content))
    client = serve()
    path = f"/api/videos/{report_of(client, 'evil')}"
    assert client.get(f"{path}/media").json()["show"] == "nothing"
    assert client.get(f"{path}/original").status_code == 404
    assert client.get(f"{path}/preview", params={"start_s": 0, "end_s": 1}).status_code == 404


def test_what_is_no_video_is_not_given(serve: Serve, reports: Path) -> None:
    (reports / "notes.txt").write_text("private")
    content = json.loads((reports / "north/a.mp4.json").read_text())
    content["video"]["path"] = str(reports / "notes.txt")
    (reports / "text").mkdir()
    (reports / "text/report.json").write_text(json.dumps(content))
    client = serve()
    path = f"/api/videos/{report_of(client, 'text')}"
    assert client.get(f"{path}/original").status_code == 404
    refused = client.get(f"{path}/preview", params={"start_s": 0, "end_s": 1})
    assert refused.status_code == 422
    assert "not a video" in refused.json()["error"]["message"]


def test_a_changed_video_is_told(serve: Serve, reports: Path) -> None:
    write_video(reports / "north/a.mp4", frames=40, width_px=96)
    client = serve()
    assert "changed" in client.get(f"/api/videos/{report_of(client, 'north')}/media").json()["note"]


def test_stretches_are_whole_seconds_and_short() -> None:
    assert Stretch.around(1.4, 2.2) == (1, 3)
    assert Stretch.around(5.0, 5.0) == (5, 6)
    assert Stretch.around(10, 10_000) == (10, 70)
