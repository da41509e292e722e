"""The original tower: attention over time, plain CLIP without it, and original checkpoints."""

import json

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from omnisila.errors import InputError, WeightsError
from omnisila.models.clip_tower import ClipTower
from omnisila.models.languagebind import languagebind_tower, load_languagebind, tower_config

FRAMES = 8


def sizes(**changes):
    return CLIPVisionConfig(
        **{
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
            "image_size": 28, "patch_size": 14,
        }
        | changes
    )  # fmt: skip


def pictures(batch=2, frames=FRAMES, height_px=40, width_px=30):
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, frames, height_px, width_px, 3), dtype=torch.uint8, generator=random)


def stirred(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


def test_without_its_temporal_part_the_original_tower_is_plain_clip():
    plain = stirred(CLIPVisionModel(sizes()))
    tower = stirred(languagebind_tower(sizes()))
    left = tower.vision_model.load_state_dict(plain.state_dict(), strict=False)
    assert all("temporal" in key for key in left.missing_keys)
    with torch.no_grad():
        for layer in tower.vision_model.encoder.layers:
            for parameter in (layer.temporal_embedding, *layer.temporal_attn.out_proj.parameters()):
                parameter.zero_()
    assert torch.equal(tower.encode(pictures()).values, ClipTower(plain).encode(pictures()).values)


def test_temporal_attention_against_loops_over_patches():
    layer = stirred(languagebind_tower(sizes()).vision_model.encoder.layers[0])
    states = torch.randn(2 * FRAMES, 5, 16)
    timed = states.clone()
    with torch.no_grad():
        for window in range(2):
            for patch in range(5):
                rows = states[window * FRAMES : (window + 1) * FRAMES, patch] + layer.temporal_embedding[0]
                normed = layer.temporal_layer_norm1(rows)
                q, k, v = (
                    getattr(layer.temporal_attn, f"{name}_proj")(normed).view(FRAMES, 2, 8).transpose(0, 1)
                    for name in "qkv"
                )
                weights = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
                mixed = layer.temporal_attn.out_proj((weights @ v).transpose(0, 1).reshape(FRAMES, 16))
                timed[window * FRAMES : (window + 1) * FRAMES, patch] = rows + mixed
        attended = timed + layer.self_attn(layer.layer_norm1(timed))[0]
        wanted = attended + layer.mlp(layer.layer_norm2(attended))
        torch.testing.assert_close(layer(states), wanted, atol=1e-5, rtol=1e-5)


def test_only_the_original_tower_sees_the_order_of_frames():
    frames = pictures(1)
    for tower, sees in (
        (ClipTower(stirred(CLIPVisionModel(sizes()))), False),
        (stirred(languagebind_tower(sizes())), True),
    ):
        forwards, backwards = tower.encode(frames).values, tower.encode(frames.flip(1)).values.flip(1)
        assert torch.allclose(forwards, backwards, atol=1e-5) is not sees


def test_windows_do_not_touch_each_other_and_other_lengths_are_refused():
    tower = stirred(languagebind_tower(sizes()))
    both, alone = tower.encode(pictures()).values, tower.encode(pictures()[1:]).values
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="a window of 5 frames, wanted 8"):
        tower.encode(pictures(frames=5))


SIZES = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14, "hidden_act": "gelu", "num_frames": 8, "add_time_attn": True,
}  # fmt: skip


def write_original(folder, prefix, tower):
    """A checkpoint as published: pickled, the tower below its prefix, other parts and an old buffer beside it."""
    state = {prefix + key: tensor for key, tensor in tower.vision_model.state_dict().items()}
    state[f"{prefix}embeddings.position_ids"] = torch.arange(5).unsqueeze(0)
    state["text_model.final_layer_norm.weight"] = torch.ones(4)
    state["model.image_tower.image_tower.pre_layrnorm.weight"] = torch.ones(16)
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({"vision_config": SIZES}))


@pytest.mark.parametrize("prefix", ["vision_model.", "model.video_tower.video_tower."])
def test_an_original_checkpoint_loads_with_its_own_sizes_and_activation(tmp_path, prefix):
    tower = stirred(languagebind_tower(sizes(hidden_act="gelu")))
    write_original(tmp_path, prefix, tower)
    loaded = load_languagebind(tmp_path, torch.float32)
    assert isinstance(loaded, ClipTower)
    assert loaded.frames == FRAMES
    assert torch.equal(loaded.encode(pictures()).values, tower.encode(pictures()).values)
    assert load_languagebind(tmp_path).encode(pictures()).values.dtype == torch.bfloat16


def test_an_activation_that_nothing_tells_is_asked_for(tmp_path):
    write_original(tmp_path, "vision_model.", languagebind_tower(sizes()))
    for said in ("{}", None):
        (tmp_path / "config.json").unlink() if said is None else (tmp_path / "config.json").write_text(said)
        with pytest.raises(WeightsError, match=r"config\.json: no vision_config.* gelu or quick_gelu"):
            load_languagebind(tmp_path)


def test_published_towers_are_of_the_published_activation(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"mm_video_tower": "LanguageBind/LanguageBind_Video_merge", "hidden_size": 4096}))
    whole = tower_config(tmp_path)
    assert (whole.hidden_act, whole.hidden_size, whole.num_hidden_layers) == ("gelu", 1024, 24)
    file.write_text(json.dumps({"vision_config": {"num_frames": 8}}))  # written as the difference to CLIP's defaults
    assert tower_config(tmp_path).hidden_act == "quick_gelu"


def test_names_of_the_temporal_part_are_the_published_ones():
    names = {key for key in languagebind_tower(sizes()).vision_model.state_dict() if ".layers.2." in key}
    published = {"temporal_embedding", "temporal_layer_norm1.weight", "temporal_layer_norm1.bias"}
    published |= {f"temporal_attn.{part}_proj.{kind}" for part in ("q", "k", "v", "out") for kind in ("weight", "bias")}
    assert {key.removeprefix("encoder.layers.2.") for key in names if "temporal" in key} == published


def test_checkpoints_without_time_or_of_another_size_are_refused(tmp_path):
    torch.save(dict(CLIPVisionModel(sizes()).state_dict()), tmp_path / "plain.bin")
    with pytest.raises(WeightsError, match="no temporal attention"):
        load_languagebind(tmp_path / "plain.bin")
    write_original(tmp_path / "deeper", "vision_model.", languagebind_tower(sizes(num_hidden_layers=4)))
    with pytest.raises(WeightsError, match=r"left over .*encoder\.layers\.3"):
        load_languagebind(tmp_path / "deeper")
    (tmp_path / "deeper" / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json: no configuration of a tower"):
        load_languagebind(tmp_path / "deeper")
