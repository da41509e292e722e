"""``train hawkeye`` on drawn clips with a tiny Video-LLaVA, as published and as released; both then analyse a clip."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from transformers import SamConfig, SamModel, ViTConfig, ViTModel

from omnisila.labels import ANOMALY
from omnisila.models.checkpoint import load_run
from omnisila.models.hawkeye import Hawkeye, HawkeyeConfig
from omnisila.models.hawkeye_release import HawkeyeRelease
from omnisila.records import append, records
from omnisila.scenes.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from omnisila.scenes.nets.reltr import RelTR, RelTRConfig
from omnisila.schema import Analysis, Example
from omnisila.training.log import LOSSES, LoggedStep

STAGE = {"batch_size": 4, "part_size": 4, "workers": 0}
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "scene_tuning": STAGE,
    "task_tuning": STAGE,
    "loop": {"save_every": 0, "bfloat16": False, "optim": {"learning_rate": 0.01}},
}
PAPER: dict[str, Any] = {"width": 16, "num_heads": 2, "moe": {"num_layers": 1}}
RELEASE: dict[str, Any] = {"row": "release", "release": {"width": 16, "num_heads": 2, "feedforward": 16}}
POSE = HigherHRNetConfig(width=4, stem=4, modules=(1, 1, 1), input_px=64)
RELATION = RelTRConfig(
    entity_queries=6, triplet_queries=8, width=16, heads=2, dense_width=16, encoder_layers=1, decoder_layers=2,
    backbone_filters=4, backbone_blocks=(1, 1, 1, 1), short_side_px=64, max_side_px=96,
)  # fmt: skip
SAM = {
    "vision_config": {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 128,
        "patch_size": 16, "window_size": 4, "global_attn_indexes": [0], "num_pos_feats": 8, "mlp_dim": 32,
    },
    "prompt_encoder_config": {"hidden_size": 16, "image_size": 128, "patch_size": 16},
    "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
}  # fmt: skip


def picture(index: int, width_px: int, height_px: int) -> np.ndarray:
    noise = np.random.default_rng(index // 12).integers(0, 255, (height_px // 8, width_px // 8, 3), dtype=np.uint8)
    return noise.repeat(8, axis=0).repeat(8, axis=1)


def published_extractors(folder: Path) -> dict[str, Any]:
    """Tiny checkpoints of the paper's networks, as a recipe names them."""
    torch.manual_seed(0)
    SamModel(SamConfig(**SAM)).save_pretrained(folder / "sam")
    vit = ViTConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
    )
    ViTModel(vit).save_pretrained(folder / "vit")
    pose, relation = HigherHRNet(POSE), RelTR(RELATION)
    with torch.no_grad():
        cast("Any", pose.final_layers[1]).bias.fill_(0.3)  # untrained, it would see nobody
        for head in (relation.entity_class_embed, relation.sub_class_embed, relation.obj_class_embed):
            cast("Any", head).bias[78] = 8.0  # a man, of whom it is sure
    save_file(pose.state_dict(), folder / "pose.safetensors")
    save_file(relation.state_dict(), folder / "relation.safetensors")
    checkpoints = {"pose": "pose.safetensors", "relation": "relation.safetensors", "segmentation": "sam",
                   "background": "vit"}  # fmt: skip
    return {
        "checkpoints": {name: str(folder / file) for name, file in checkpoints.items()},
        "pose_net": POSE.model_dump(), "relation_net": RELATION.model_dump(), "device": "cpu",
    }  # fmt: skip


@pytest.fixture
def material(make_video: Callable[..., Path], tmp_path: Path, video_llava_folder: Path) -> Callable[..., list[str]]:
    """``material({...})`` gives the command's arguments for one video of 4 s and a recipe of these changes."""
    make_video("footage/a.mp4", frames=48, rate_hz=12, paint=picture)
    fields = {"split": "train", "group": "g", "video": "a.mp4"}
    task = [
        Example(id=f"a#{k}", start_s=k, end_s=k + 1, task="identify", labels="anomaly", instruction=ANOMALY.identify,
                answer=("Fighting", "Normal")[k % 2], **fields)  # type: ignore[arg-type]
        for k in range(4)
    ]  # fmt: skip
    words = ("action", "relation", "face", "background")  # of which Hawkeye's first stage reads two
    scenes = [
        one.replace(id=f"d#{k}", task="describe", labels=words[k], answer="a man", instruction="Please describe.")
        for k, one in enumerate(task)
    ]
    append(tmp_path / "task.jsonl", task)
    append(tmp_path / "scenes.jsonl", scenes)
    backbone = {"source": str(video_llava_folder), "precision": "bfloat16", "lora": {"rank": 4, "dropout": 0.0}}

    def arguments(changes: dict[str, Any], *, described: bool = True) -> list[str]:
        (tmp_path / "recipe.json").write_text(json.dumps({**RECIPE, "backbone": backbone, **changes}))
        scenes = ["--scenes", str(tmp_path / "scenes.jsonl")] if described else []
        return ["train", "hawkeye", str(tmp_path / "task.jsonl"), "--footage", str(tmp_path / "footage"), *scenes,
                "--recipe", str(tmp_path / "recipe.json")]  # fmt: skip

    return arguments


def analysed(omnisila: Callable[..., Result], run: Path, tmp_path: Path) -> Analysis:
    result = omnisila(
        "analyze", tmp_path / "footage/a.mp4", "--model", run, "--labels", "anomaly", "--out", tmp_path / "report"
    )
    assert result.exit_code == 0, result.stderr
    return Analysis.model_validate_json((tmp_path / "report/a.mp4.json").read_text())


def test_as_published(omnisila: Callable[..., Result], material: Callable[..., list[str]], tmp_path: Path) -> None:
    result = omnisila(*material(PAPER), "--extractors", "embedded", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    stages = [line.stage for line in records(tmp_path / "run" / LOSSES, LoggedStep)]
    assert stages == ["scene", "task"], "one epoch a stage; two of the four descriptions are read"
    run = load_run(tmp_path / "run")
    assert isinstance(run.model, Hawkeye)
    assert isinstance(run.record.hawkeye, HawkeyeConfig)
    assert run.record.hawkeye.grid.patches == 5
    assert run.model.video.standardise.mean.abs().sum() > 0, "it knows the tower's features"
    analysis = analysed(omnisila, tmp_path / "run", tmp_path)
    assert [point.posterior["anomaly"].keys() for point in analysis.anomaly_curve] == [{"Fighting", "Normal"}] * 4
    assert "Shoplifting" in analysis.labels_not_scored


def test_as_released(omnisila: Callable[..., Result], material: Callable[..., list[str]], tmp_path: Path) -> None:
    sem = published_extractors(tmp_path)
    as_on_a_gpu = {**RECIPE["loop"], "bfloat16": True}
    arguments = material({**RELEASE, "sem": sem, "scene_tuning": None, "loop": as_on_a_gpu}, described=False)
    result = omnisila(*arguments, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    run = load_run(tmp_path / "run")
    assert isinstance(run.model, HawkeyeRelease)
    assert run.model.joints.numbers == 5
    assert run.record.video_llm.model_dump()["class_tokens"] is False
    assert len(analysed(omnisila, tmp_path / "run", tmp_path).anomaly_curve) == 4


def test_what_cannot_be_trained_says_why(
    omnisila: Callable[..., Result], material: Callable[..., list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "x"
    told = omnisila(*material(RELEASE), "--extractors", "embedded", "--out", out).exception
    assert "RelTR's probabilities of Visual Genome" in str(told)
    told = omnisila(*material({"row": "without-all"}), "--out", out).exception
    assert "row 'without-all' does not exist. Did you mean" in str(told)
