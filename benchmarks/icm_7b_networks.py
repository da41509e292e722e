"""The full model and the full profile's networks with random weights, at their true shapes or at toy ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    SamConfig,
    SamModel,
    SamVisionConfig,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from omnisila.data.instructions import Instruction, render_instruction, render_label
from omnisila.labels import EXPLICIT, IMPLICIT
from omnisila.models.backbone import Footage
from omnisila.models.backbones import build_backbone
from omnisila.models.checkpoint import Run, RunRecord
from omnisila.models.experts import ExpertConfig
from omnisila.models.lora import add_lora
from omnisila.models.pretrained_llm import VideoBackboneConfig
from omnisila.models.tokenizer import VIDEO, as_transformers, token_id, train_tokenizer
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.recipes.rows.icm import FullICM
from omnisila.scenes.full.checkpoints import Checkpoints
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from omnisila.scenes.nets.reltr import VISUAL_GENOME, RelTR, RelTRConfig

MAN, ON = 78, 31  # of Visual Genome's entities and predicates
LABELS = {labels.name: labels for labels in (IMPLICIT, EXPLICIT)}


class Shapes(NamedTuple):
    """Sizes of every network, as their configurations name them; empty dictionaries are the libraries' defaults."""

    text: dict[str, Any]
    vision: dict[str, Any]
    sam: dict[str, Any]
    vit: dict[str, Any]
    pose: HigherHRNetConfig
    relation: RelTRConfig
    expert: ExpertConfig


_SAM_HUGE = SamVisionConfig(
    hidden_size=1280, num_hidden_layers=32, num_attention_heads=16, mlp_dim=5120, global_attn_indexes=[7, 15, 23, 31]
)
TRUE = Shapes(
    text={  # Video-LLaVA-7B: Vicuna v1.5 7B with 64 rows more
        "vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
    },
    vision={  # CLIP L/14
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 224, "patch_size": 14, "projection_dim": 768,
    },
    sam={}, vit={}, pose=HigherHRNetConfig(), relation=VISUAL_GENOME, expert=ExpertConfig(),
)  # fmt: skip
TRUE_WITH_SAM_HUGE = TRUE._replace(sam={"vision_config": _SAM_HUGE.to_dict()})
TINY = Shapes(
    text={
        "vocab_size": 1088, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 512,
    },
    vision={
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28,
        "patch_size": 14,
    },
    sam={
        "vision_config": {
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 128, "patch_size": 16, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 8,
            "mlp_dim": 32,
        },
        "prompt_encoder_config": {"hidden_size": 16, "image_size": 128, "patch_size": 16},
        "mask_decoder_config": {
            "hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
        },
    },
    vit={
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32,
    },
    pose=HigherHRNetConfig(width=4, stem=4, modules=(1, 1, 1), input_px=64),
    relation=RelTRConfig(
        entity_queries=6, triplet_queries=8, width=16, heads=2, dense_width=16, encoder_layers=1, decoder_layers=2,
        backbone_filters=4, backbone_blocks=(1, 1, 1, 1), short_side_px=64, max_side_px=96,
    ),
    expert=ExpertConfig(width=16, num_layers=1, num_heads=2),
)  # fmt: skip


def scene_checkpoints(shapes: Shapes, folder: Path) -> Checkpoints:
    """Files of random networks as their publishers save them.

    Untrained networks would see nobody and nothing, and what is not seen costs nothing. So heads are biased until every
    frame is as crowded as the configuration allows: 30 people for the grouping, 16 objects for the tracker and SAM.
    """
    torch.manual_seed(0)
    SamModel(SamConfig(**shapes.sam)).save_pretrained(folder / "sam")
    ViTModel(ViTConfig(**shapes.vit)).save_pretrained(folder / "vit")
    pose, relation = HigherHRNet(shapes.pose), RelTR(shapes.relation)
    with torch.no_grad():
        for head in (relation.entity_class_embed, relation.sub_class_embed, relation.obj_class_embed):
            head.bias[MAN] = 8.0
        relation.rel_class_embed.layers[-1].bias[ON] = 8.0  # type: ignore[index]
        pose.final_layers[1].bias.fill_(0.3)  # type: ignore[operator, union-attr]
    save_file(pose.state_dict(), folder / "pose.safetensors")
    save_file(relation.state_dict(), folder / "relation.safetensors")
    return Checkpoints(
        pose=str(folder / "pose.safetensors"),
        relation=str(folder / "relation.safetensors"),
        segmentation=str(folder / "sam"),
        background=str(folder / "vit"),
    )


def video_llava(shapes: Shapes, device: torch.device, dtype: torch.dtype) -> TransformersVideoLLM:
    """Video-LLaVA made on the device; its tokenizer knows the project's instructions, about one token a word."""
    tasks = ("identify", "locate")
    texts = [render_instruction(Instruction(task, labels)) for task in tasks for labels in LABELS.values()]
    texts += [render_label(label) for labels in LABELS.values() for label in labels.labels]
    tokenizer = train_tokenizer([*texts, "USER: ASSISTANT:"])
    config = VideoLlavaConfig(
        text_config=LlamaConfig(**shapes.text),
        vision_config=CLIPVisionConfig(**shapes.vision),
        video_token_index=token_id(tokenizer, VIDEO),
        image_token_index=shapes.text["vocab_size"] - 1,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = VideoLlavaForConditionalGeneration._from_config(config, dtype=dtype)
    return TransformersVideoLLM(model, as_transformers(tokenizer), build_backbone(model, {}, Footage())).eval()


def run(shapes: Shapes, folder: Path, device: torch.device, tell: Callable[[str], None]) -> tuple[Run, FullICM]:
    """The published ICM with adapters, untrained, as ``load_run`` would give it, and its recipe.

    Args:
        folder: gets the scene networks' checkpoints.
    """
    sem = FullSEMConfig(
        checkpoints=scene_checkpoints(shapes, folder),
        pose_net=shapes.pose,
        relation_net=shapes.relation,
        dtype="bfloat16",
        device=str(device),
    )
    layouts = sem.build().layouts
    tell("scene networks are ready")
    backbone = VideoBackboneConfig()
    llm = video_llava(shapes, device, getattr(torch, backbone.precision))
    llm.requires_grad_(False)
    assert backbone.lora is not None
    add_lora(llm.model, backbone.lora)
    recipe = FullICM().replace(name="random weights", backbone=backbone, sem=sem, expert=shapes.expert)
    icm = recipe.scene_side(layouts, llm)
    model = icm.build(llm).to(device).eval()
    record = RunRecord(
        name=recipe.name,
        icm=icm,
        video_llm=backbone,
        sem=sem,
        window=recipe.window,
        labels={name: labels.labels for name, labels in LABELS.items()},
    )
    tell("Video-LLaVA is ready")
    return Run(model, record, None), recipe


def language_side(run: Run) -> TransformersVideoLLM:
    """The run's Video-LLaVA."""
    return cast("TransformersVideoLLM", run.model.video_llm)
