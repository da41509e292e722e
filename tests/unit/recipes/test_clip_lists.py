"""Working through clips: a bad one is named and costs no other, a full disk ends the run."""

import pytest

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import MediaError, OutputError
from omnisila.recipes.streams.clip_lists import each_clip, write_clip_list

VIDEOS = [
    AnnotatedVideo(id=name, path=f"{name}.mp4", labels={"reaction": None}, truth=None, split="train", sources=(name,))
    for name in "ab"
]


def test_a_bad_clip_costs_no_other_and_a_full_disk_ends_the_run():
    told, done = [], []

    def work(video):
        if video.id == "a":
            raise MediaError("a.mp4: no video")
        done.append(video.id)

    (failed,) = each_clip(VIDEOS, work, told.append)
    assert (failed.name, failed.reason, done) == ("a", "a.mp4: no video", ["b"])
    assert told == ["1 of 2: a.mp4: no video", "2 of 2: b"]

    def full(video):
        raise OutputError(f"{video.id}: no space left")

    with pytest.raises(OutputError, match="a: no space left"):
        each_clip(VIDEOS, full, told.append)


def test_a_list_is_a_table_with_a_clip_a_line(tmp_path):
    write_clip_list(tmp_path / "x.csv", "reason", [("a", 'no "video", but text'), ("b", "empty")])
    assert (tmp_path / "x.csv").read_text() == 'clip,reason\na,"no ""video"", but text"\nb,empty\n'
    write_clip_list(tmp_path / "x.csv", "reason", [])
    assert (tmp_path / "x.csv").read_text() == "clip,reason\n"
