"""Tiny checkpoints of every network of the full profile, saved as their publishers save them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    SamConfig,
    SamModel,
    ViTConfig,
    ViTModel,
)

from omnisila.scenes.full.checkpoints import Checkpoints
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from omnisila.scenes.nets.reltr import RelTR, RelTRConfig

SAM = {
    "vision_config": {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 128,
        "patch_size": 16, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 8, "mlp_dim": 32,
        "initializer_range": 0.2,
    },
    "prompt_encoder_config": {"hidden_size": 16, "image_size": 128, "patch_size": 16},
    "mask_decoder_config": {
        "hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
    },
}  # fmt: skip
VIT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32}
LABELS = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")  # AffectNet's eight
POSE = HigherHRNetConfig(width=4, stem=4, modules=(1, 1, 1), input_px=64)
RELATION = RelTRConfig(
    entity_queries=6, triplet_queries=8, width=16, heads=2, dense_width=16, encoder_layers=1, decoder_layers=2,
    backbone_filters=4, backbone_blocks=(1, 1, 1, 1), short_side_px=64, max_side_px=96,
)  # fmt: skip


@pytest.fixture(scope="package")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    SamModel(SamConfig(**SAM)).save_pretrained(folder / "sam")
    ViTModel(ViTConfig(**VIT)).save_pretrained(folder / "vit")
    labels = dict(enumerate(LABELS))
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", id2label=labels)
    ResNetForImageClassification(config).save_pretrained(folder / "expression")
    pose, relation = HigherHRNet(POSE), RelTR(RELATION)
    with torch.no_grad():
        pose.final_layers[1].bias.fill_(0.3)  # untrained, it would see nobody
        for head in (relation.entity_class_embed, relation.sub_class_embed, relation.obj_class_embed):
            head.bias[78] = 8.0  # a man, of whom it is sure
        relation.rel_class_embed.layers[-1].bias[31] = 8.0  # on
    torch.save({f"1.{key}": value for key, value in pose.state_dict().items()}, folder / "pose.pth")
    save_file(relation.state_dict(), folder / "relation.safetensors")
    return Checkpoints(
        pose=str(folder / "pose.pth"),
        relation=str(folder / "relation.safetensors"),
        segmentation=str(folder / "sam"),
        background=str(folder / "vit"),
        expression=str(folder / "expression"),
    )


@pytest.fixture(scope="package")
def config(checkpoints: Checkpoints) -> FullSEMConfig:
    settings = {"pose_net": POSE, "relation_net": RELATION, "device": "cpu", "chunk_frames": 6}
    return FullSEMConfig(checkpoints=checkpoints, **settings)


@pytest.fixture(scope="package")
def published(checkpoints: Checkpoints) -> Path:
    """The folder with all of them."""
    return Path(checkpoints.pose).parent
