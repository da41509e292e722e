"""Which networks may be chosen, and that a table is written of what is made, and of nothing else."""

import json

import pytest

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import InputError
from omnisila.models.reaction_sources import read_sources
from omnisila.recipes.streams.frames import Place, chosen_networks, frame_streams
from omnisila.scenes.reaction.extracting import ReactionCache


def networks(folder, **fields):
    path = folder / "networks.json"
    path.write_text(json.dumps(fields))
    return str(path)


def test_models_read_32_frames_and_no_other_number_is_extracted(tmp_path):
    with pytest.raises(InputError, match=r"networks\.json: frames is 16; reaction models read 32 a clip"):
        chosen_networks(networks(tmp_path, frames=16), None, {})
    assert chosen_networks(networks(tmp_path, crop="frame"), None, {}).frames == 32


def test_what_is_not_made_has_no_table(tmp_path, make_video):
    make_video("1.mp4", frames=6, rate_hz=10, width_px=64, height_px=48, audio_s=0.6)
    video = AnnotatedVideo(id="1", path="1.mp4", labels={"reaction": None}, truth=None, split="train", sources=("1",))
    config = chosen_networks(networks(tmp_path, modalities=["audio"]), None, {})
    place = Place(footage=tmp_path, out=tmp_path / "out")
    counted = frame_streams(config, [video], place, ReactionCache(tmp_path / "cache"))
    assert [path.stem for path in place.out.glob("*.safetensors")] == ["audio"]
    assert counted.missing == {"audio": 0}
    assert read_sources(place.out).features_digest(["audio"]) == config.networks_digest
