"""Streams made of real small clips by a tiny Video-LLM: kept clip by clip, gone on with, failures named."""

import pytest
import torch

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import DataSetError
from omnisila.inference.frozen_llm import FrozenLLM
from omnisila.models.probing import PROMPTS
from omnisila.recipes.streams.asked import Description, descriptions, pooled_streams
from omnisila.recipes.streams.frames import extracted_streams
from omnisila.records import records
from omnisila.scenes.reaction.clip import Modality
from omnisila.training.reaction_tables import read_stream


@pytest.fixture
def llava(make_llava):
    return FrozenLLM(make_llava(), frames=2)


@pytest.fixture
def videos(make_video, make_bad_file):
    make_video("1.mp4", frames=12, rate_hz=12)
    make_video("2.mp4", frames=24, rate_hz=12)
    make_bad_file("3.mp4", "empty")
    return [
        AnnotatedVideo(id=name, path=f"{name}.mp4", labels={"reaction": None}, truth=None, sources=(name,))
        for name in "123"
    ]


def test_pooled_tokens_of_both_prompts_and_a_clip_that_cannot_be_read(tmp_path, llava, videos):
    out = tmp_path / "streams"
    failed = pooled_streams("tiny", llava, videos, tmp_path, out)
    assert [one.name for one in failed] == ["3"]
    assert "3.mp4" in failed[0].reason
    for number, prompt in enumerate(PROMPTS, 1):
        table = read_stream(out / f"pooled-{number}.safetensors")
        assert (table.ids, table.kind) == (("1", "2"), "tiny, 2 frames, sequence")
        wanted = llava.pool(tmp_path / "2.mp4", (0.0, 2.0), prompt)
        assert table.values.dtype == torch.float16
        torch.testing.assert_close(table.values[1, 0], wanted.half(), atol=0, rtol=0)  # rounded, and nothing else


def test_what_is_done_is_not_done_again(tmp_path, llava, videos):
    out = tmp_path / "streams"
    pooled_streams("tiny", llava, videos[:1], tmp_path, out)
    (part,) = out.glob("parts/*/1.safetensors")
    before = part.stat().st_mtime_ns
    pooled_streams("tiny", llava, videos[:2], tmp_path, out)
    assert part.stat().st_mtime_ns == before
    assert read_stream(out / "pooled-1.safetensors").ids == ("1", "2")
    pooled_streams("another", llava, videos[:1], tmp_path, out)
    assert len(list(out.glob("parts/*/1.safetensors"))) == 2


def test_no_clip_at_all_is_an_error(tmp_path, llava, videos):
    with pytest.raises(DataSetError, match=r"none of 1 clips could be read \(.*3\.mp4"):
        pooled_streams("tiny", llava, videos[2:], tmp_path, tmp_path / "streams")


def test_descriptions_are_written_once_and_are_of_one_system(tmp_path, llava, videos):
    out = tmp_path / "descriptions-2.jsonl"
    failed = descriptions("tiny", llava, videos, tmp_path, "2", out)
    assert [one.name for one in failed] == ["3"]
    spans = {"1": (0.0, 1.0), "2": (0.0, 2.0)}
    wanted = {clip: llava.ask(tmp_path / f"{clip}.mp4", span_s, PROMPTS[1]) for clip, span_s in spans.items()}
    assert {one.clip: one.text for one in records(out, Description)} == wanted
    kept = [Description(clip=clip, system="tiny", text="She smiles.") for clip in spans]
    out.write_text("".join(f"{one.model_dump_json()}\n" for one in kept) + '{"clip": "half a li')  # as a kill leaves it
    descriptions("tiny", llava, videos, tmp_path, "2", out)
    assert list(records(out, Description)) == kept
    with pytest.raises(DataSetError, match="by tiny, not by another"):
        descriptions("another", llava, videos, tmp_path, "2", out)


def test_extractors_features_become_a_table_a_stream(tmp_path):
    def clips():
        for number in (1, 2):
            stream = Modality.of_clip(torch.tensor([float(number)]))
            yield str(number), {"visual": stream, "text": stream}

    extracted_streams(tmp_path, {"visual": "visual", "text": "text-clip"}, {"visual": "vit", "text": "template"}, clips)
    assert read_stream(tmp_path / "text-clip.safetensors").values[:, 0, 0].tolist() == [1, 2]
    assert read_stream(tmp_path / "visual.safetensors").ids == ("1", "2")
    assert read_stream(tmp_path / "text-clip.safetensors").kind == "template"
