"""Tiny checkpoints with exactly the names under which the baselines' authors publish theirs, written as they do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from omnisila.labels import EXPLICIT, IMPLICIT
from tests.video_llava import llama_tokenizer

State = dict[str, Tensor]
WIDTH, LAYERS, FEEDFORWARD = 32, 2, 48  # of the language model
CLIP_WIDTH, SIDE_PX, PATCH_PX = 64, 28, 14  # 4 patches a frame


def tensors(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    random = torch.Generator().manual_seed(seed)
    return {key: torch.randn(shape, generator=random) * 0.2 for key, shape in shapes.items()}


def llama_shapes(rows: int, width: int = WIDTH) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, width), "lm_head.weight": (rows, width)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {f"{at}.self_attn.{name}_proj.weight": (width, width) for name in "qkvo"}
        shapes |= {f"{at}.mlp.{name}_proj.weight": (FEEDFORWARD, width) for name in ("gate", "up")}
        shapes |= {f"{at}.mlp.down_proj.weight": (width, FEEDFORWARD), f"{at}.input_layernorm.weight": (width,)}
        shapes |= {
            f"{at}.post_attention_layernorm.weight": (width,),
            f"{at}.self_attn.rotary_emb.inv_freq": (width // 4,),
        }
    return {**shapes, "model.norm.weight": (width,)}


def llama_settings(rows: int, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": rows, "hidden_size": WIDTH, "intermediate_size": FEEDFORWARD, "num_hidden_layers": LAYERS,
        "num_attention_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "torch_dtype": "float16", "transformers_version": "4.28.1", **more,
    }  # fmt: skip


def clip_shapes(prefix: str = "vision_model.") -> dict[str, tuple[int, ...]]:
    width, places = CLIP_WIDTH, (SIDE_PX // PATCH_PX) ** 2 + 1
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.class_embedding": (width,),
        "embeddings.patch_embedding.weight": (width, 3, PATCH_PX, PATCH_PX),
        "embeddings.position_embedding.weight": (places, width),
        "embeddings.position_ids": (1, places),
    }
    for name in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for layer in range(3):
        at = f"encoder.layers.{layer}"
        for name in ("q", "k", "v", "out"):
            shapes |= {
                f"{at}.self_attn.{name}_proj.weight": (width, width),
                f"{at}.self_attn.{name}_proj.bias": (width,),
            }
        for name in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{at}.{name}.weight": (width,), f"{at}.{name}.bias": (width,)}
        shapes |= {f"{at}.mlp.fc1.weight": (96, width), f"{at}.mlp.fc1.bias": (96,)}
        shapes |= {f"{at}.mlp.fc2.weight": (width, 96), f"{at}.mlp.fc2.bias": (width,)}
    return {prefix + key: shape for key, shape in shapes.items()}


def tokenizer(added: tuple[str, ...] = ()) -> Any:
    texts = [text for each in (IMPLICIT, EXPLICIT) for text in (*each.labels, each.identify)]
    made = llama_tokenizer(["USER: ASSISTANT: Human: Assistant: ### </Img> <Video>", *texts])
    made.add_tokens(list(added), special_tokens=True)
    return made


def write_language(folder: Path, state: State, added: tuple[str, ...] = (), **settings: Any) -> None:
    """A folder as ``save_pretrained`` left it in 2023: pickled shards with an index, settings, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(added).save_pretrained(folder)
    rows = len(state["model.embed_tokens.weight" if "model.embed_tokens.weight" in state else EMBEDS])
    (folder / "config.json").write_text(json.dumps(llama_settings(rows, **settings)))
    keys = sorted(state)
    shards = {"pytorch_model-00001-of-00002.bin": keys[::2], "pytorch_model-00002-of-00002.bin": keys[1::2]}
    for name, held in shards.items():
        torch.save({key: state[key] for key in held}, folder / name)
    places = {key: name for name, held in shards.items() for key in held}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


EMBEDS = "language_model.model.embed_tokens.weight"  # as mPLUG-Owl calls it
ROWS = len(tokenizer())


def projector(name: str = "model.mm_projector") -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH, CLIP_WIDTH), f"{name}.bias": (WIDTH,)}


def video_chatgpt(folder: Path) -> Path:
    """The base with LLaVA's projector, the partial state of three more tokens, CLIP beside them."""
    language = tensors({**llama_shapes(ROWS), **projector()})
    write_language(folder / "LLaVA-7B-Lightening-v1-1", language, model_type="llava", mm_hidden_size=CLIP_WIDTH)
    partial = tensors({"model.embed_tokens.weight": (ROWS + 3, WIDTH), **projector()}, seed=1)
    torch.save(partial, folder / "video_chatgpt-7B.bin")
    (folder / "clip-vit-large-patch14").mkdir()
    text = {"text_model.final_layer_norm.weight": (8,), "logit_scale": ()}
    torch.save(tensors({**clip_shapes(), **text}, seed=2), folder / "clip-vit-large-patch14" / "pytorch_model.bin")
    return folder


VALLEY_TOKENS = ("<im_patch>", "<vi_frame>", "<im_start>", "<im_end>", "<vi_start>", "<vi_end>")


def valley(folder: Path, pooling: str = "mean") -> Path:
    """One folder; ``pooling`` as the flags of its settings choose it."""
    rows = len(tokenizer(VALLEY_TOKENS))
    shapes = {**llama_shapes(rows), **projector(), **clip_shapes("model.vision_tower.vision_model.")}
    settings: dict[str, Any] = {"patch_pooling_method": pooling}
    if pooling == "temporal_importance":
        shapes |= {"model.pooling_layer.weight": (1, WIDTH * 4), "model.pooling_layer.bias": (1,)}
        settings = {"use_patch_importance_pooling": True}
    if pooling == "temporal_transformer":
        settings = {"use_delta_transformer": True}
        shapes["model.position_matrix"] = (2048, WIDTH)
        for at in ("model.transforemr_adding_layer", "model.transformer_delta_encoder.layers.0"):
            shapes |= {
                f"{at}.self_attn.in_proj_weight": (3 * WIDTH, WIDTH),
                f"{at}.self_attn.in_proj_bias": (3 * WIDTH,),
            }
            shapes |= {f"{at}.self_attn.out_proj.weight": (WIDTH, WIDTH), f"{at}.self_attn.out_proj.bias": (WIDTH,)}
            shapes |= {f"{at}.linear1.weight": (40, WIDTH), f"{at}.linear1.bias": (40,)}
            shapes |= {f"{at}.linear2.weight": (WIDTH, 40), f"{at}.linear2.bias": (WIDTH,)}
            shapes |= {f"{at}.norm{k}.{kind}": (WIDTH,) for k in (1, 2) for kind in ("weight", "bias")}
    write_language(folder, tensors(shapes), VALLEY_TOKENS, model_type="valley", mm_vision_select_layer=-2, **settings)
    return folder


def chat_univi(folder: Path) -> Path:
    """One folder, the tower inside; rates so small that 4 patches can be merged."""
    shapes = {**llama_shapes(ROWS), **projector(), **clip_shapes("model.vision_tower.vision_tower.vision_model.")}
    rates = {f"spatial_cluster_rate{step}": count for step, count in enumerate((4, 3, 2))}
    rates = {"use_cluster": True, **rates, "temporal_cluster_rate": 1 / 16}
    write_language(folder, tensors(shapes), model_type="ChatUniVi", config=rates)
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "video_chatgpt": video_chatgpt,
    "valley": valley,
    "chat_univi": chat_univi,
}


@pytest.fixture
def write_baseline(tmp_path: Path) -> Callable[..., Path]:
    """``write_baseline("valley")`` writes a tiny published checkpoint of that baseline and gives its folder."""

    def write(name: str, **options: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        return WRITERS[name](folder, **options)

    return write
