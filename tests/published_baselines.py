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
    settings: dict[str, Any] = {}
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


VICUNA = "vicuna-7b-v0"
PANDA_WIDTH, PANDA_OUT = 160, 24


def _attention(at: str, width: int) -> dict[str, tuple[int, ...]]:
    """torch's own multi-head attention."""
    return {
        f"{at}.in_proj_weight": (3 * width, width), f"{at}.in_proj_bias": (3 * width,),
        f"{at}.out_proj.weight": (width, width), f"{at}.out_proj.bias": (width,),
    }  # fmt: skip


def _norm(at: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}.weight": (width,), f"{at}.bias": (width,)}


def _linear(at: str, out: int, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}.weight": (out, width), f"{at}.bias": (out,)}


def pandagpt(folder: Path) -> Path:
    """ImageBind with another sense beside sight, adapters with the projection, Vicuna."""
    write_language(folder / VICUNA, tensors(llama_shapes(ROWS)), model_type="llama")
    adapters: dict[str, tuple[int, ...]] = {}
    for layer in range(LAYERS):
        for name in "qkvo":
            at = f"llama_model.base_model.model.model.layers.{layer}.self_attn.{name}_proj"
            adapters |= {f"{at}.lora_A.default.weight": (4, WIDTH), f"{at}.lora_B.default.weight": (WIDTH, 4)}
    torch.save(tensors({**adapters, **_linear("llama_proj", WIDTH, PANDA_OUT)}, seed=1), folder / "pytorch_model.pt")
    width, sight = PANDA_WIDTH, "modality_preprocessors.vision"
    shapes: dict[str, tuple[int, ...]] = {
        f"{sight}.cls_token": (1, 1, width),
        f"{sight}.rgbt_stem.proj.1.weight": (width, 3, 2, PATCH_PX, PATCH_PX),
        f"{sight}.pos_embedding_helper.pos_embed": (1, 5, width),
        "modality_preprocessors.text.pos_embed": (1, 77, 8),
        "modality_heads.audio.0.weight": (8,),
        "modality_heads.vision.2.weight": (PANDA_OUT, width),
    }
    shapes |= _norm("modality_trunks.vision.pre_transformer_layer.0", width) | _norm("modality_heads.vision.0", width)
    for layer in range(2):
        at = f"modality_trunks.vision.blocks.{layer}"
        shapes |= _attention(f"{at}.attn", width) | _norm(f"{at}.norm_1", width) | _norm(f"{at}.norm_2", width)
        shapes |= _linear(f"{at}.mlp.fc1", 64, width) | _linear(f"{at}.mlp.fc2", width, 64)
    torch.save(tensors(shapes, seed=2), folder / "imagebind_huge.pth")
    return folder


OWL_WIDTH, OWL_HEADS, OWL_QUERIES = 32, 4, 6


def mplug_owl(folder: Path) -> Path:
    """One folder of nested settings; 6 queries."""
    width = OWL_WIDTH
    shapes: dict[str, tuple[int, ...]] = {f"language_model.{key}": shape for key, shape in llama_shapes(ROWS).items()}
    shapes |= {"query_tokens": (1, OWL_QUERIES, width), "temporal_query_tokens": (1, OWL_QUERIES, width)}
    at = "vision_model.embeddings"
    shapes |= {f"{at}.cls_token": (1, 1, width), f"{at}.position_embedding": (1, 5, width)}
    shapes |= {f"{at}.patch_embed.weight": (width, 3, PATCH_PX, PATCH_PX)} | _norm(f"{at}.pre_layernorm", width)
    shapes |= _norm("vision_model.post_layernorm", width)
    for layer in range(2):
        at = f"vision_model.encoder.layers.{layer}"
        inner = width // 2
        shapes |= _norm(f"{at}.temporal.ln", width) | {f"{at}.temporal.down_proj.weight": (inner, width, 1, 1, 1)}
        shapes |= {f"{at}.temporal.conv.weight": (inner, 1, 3, 1, 1), f"{at}.temporal.conv.bias": (inner,)}
        shapes |= {f"{at}.temporal.up_proj.weight": (width, inner, 1, 1, 1), f"{at}.temporal.up_proj.bias": (width,)}
        shapes |= {f"{at}.temporal.down_proj.bias": (inner,)} | _linear(
            f"{at}.self_attn.query_key_value", 3 * width, width
        )
        shapes |= _linear(f"{at}.self_attn.dense", width, width) | _norm(f"{at}.input_layernorm", width)
        shapes |= _norm(f"{at}.post_attention_layernorm", width)
        shapes |= _linear(f"{at}.mlp.fc1", 48, width) | _linear(f"{at}.mlp.fc2", width, 48)
    for layer in range(2):
        at = f"abstractor.encoder.layers.{layer}.crossattention"
        for name in ("query", "key", "value"):
            shapes |= _linear(f"{at}.attention.{name}", width, width)
        shapes |= _linear(f"{at}.output.out_proj", width, width)
        for name in ("output.norm2", "norm1", "normk"):
            shapes |= _norm(f"{at}.{name}", width)
        for name, (out, into) in {"w1": (40, width), "w2": (width, 40), "w3": (40, width)}.items():
            shapes |= _linear(f"{at}.output.mlp.{name}", out, into)
        shapes |= _norm(f"{at}.output.mlp.ffn_ln", 40)
    shapes |= _linear("abstractor.visual_fc", WIDTH, width) | _linear("abstractor.temporal_visual_fc", WIDTH, width)
    shapes |= {"abstractor.vit_eos": (1, 1, WIDTH)}
    heads = {"num_attention_heads": OWL_HEADS}
    settings = {"vision_config": heads, "visual_abstractor_config": heads, "text_config": llama_settings(ROWS)}
    write_language(folder, tensors(shapes), model_type="mplug-owl", num_query_tokens=OWL_QUERIES, **settings)
    return folder


EVA_WIDTH, BERT_WIDTH = 176, 128  # two heads each


def videochat(folder: Path) -> Path:
    """EVA with a layer too many, BLIP-2's Q-Former with its text branch, what VideoChat tuned, Vicuna."""
    write_language(folder / VICUNA, tensors(llama_shapes(ROWS)), model_type="llama")
    width, own = EVA_WIDTH, BERT_WIDTH
    eva: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width), "pos_embed": (1, 5, width), "patch_embed.proj.bias": (width,),
        "patch_embed.proj.weight": (width, 3, PATCH_PX, PATCH_PX), "norm.weight": (width,), "norm.bias": (width,),
        "head.weight": (8, width), "head.bias": (8,),
    }  # fmt: skip
    for layer in (0, 1, 2, 39):
        at = f"blocks.{layer}"
        eva |= _norm(f"{at}.norm1", width) | _norm(f"{at}.norm2", width) | _linear(f"{at}.attn.proj", width, width)
        eva |= {f"{at}.attn.qkv.weight": (3 * width, width)}
        eva |= {f"{at}.attn.q_bias": (width,), f"{at}.attn.v_bias": (width,)}
        eva |= _linear(f"{at}.mlp.fc1", 40, width) | _linear(f"{at}.mlp.fc2", width, 40)
    torch.save(tensors(eva, seed=1), folder / "eva_vit_g.pth")
    bert = "Qformer.bert"
    blip: dict[str, tuple[int, ...]] = {"query_tokens": (1, 3, own), f"{bert}.embeddings.position_ids": (1, 512)}
    blip |= {f"{bert}.embeddings.word_embeddings.weight": (20, own)} | _norm(f"{bert}.embeddings.LayerNorm", own)
    blip |= {f"{bert}.embeddings.position_embeddings.weight": (512, own), "Qformer.cls.predictions.bias": (20,)}
    blip |= _linear("t5_proj", 16, own) | _norm("ln_vision", width)
    for layer in range(2):
        for kind, into in (("attention", own), ("crossattention", width))[: 2 - layer]:
            at = f"{bert}.encoder.layer.{layer}.{kind}"
            blip |= _linear(f"{at}.self.query", own, own) | _linear(f"{at}.self.key", own, into)
            blip |= _linear(f"{at}.self.value", own, into) | _linear(f"{at}.output.dense", own, own)
            blip |= _norm(f"{at}.output.LayerNorm", own)
        for kind in ("", "_query"):
            at = f"{bert}.encoder.layer.{layer}"
            blip |= _linear(f"{at}.intermediate{kind}.dense", 40, own) | _linear(f"{at}.output{kind}.dense", own, 40)
            blip |= _norm(f"{at}.output{kind}.LayerNorm", own)
    torch.save({"model": tensors(blip, seed=2)}, folder / "blip2_pretrained_flant5xxl.pth")
    tuned: dict[str, tuple[int, ...]] = {"visual_encoder.gmhra_cls_token": (1, 1, width)} | _norm("ln_vision", width)
    tuned |= {"extra_query_tokens": (1, 5, own)} | _linear("llama_proj", WIDTH, own)
    for layer in range(2):
        at = f"visual_encoder.gmhra.{layer}"
        tuned |= {f"{at}.dpe.weight": (width, 1, 3, 3, 3), f"{at}.dpe.bias": (width,)} | _attention(f"{at}.attn", width)
        for name in ("ln_1", "ln_2", "ln_3"):
            tuned |= _norm(f"{at}.{name}", width)
        tuned |= _linear(f"{at}.mlp.c_fc", 44, width) | _linear(f"{at}.mlp.c_proj", width, 44)
    torch.save({"model": tensors(tuned, seed=3)}, folder / "videochat_7b.pth")
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "video_chatgpt": video_chatgpt,
    "valley": valley,
    "chat_univi": chat_univi,
    "pandagpt": pandagpt,
    "mplug_owl": mplug_owl,
    "videochat": videochat,
}


@pytest.fixture
def write_baseline(tmp_path: Path) -> Callable[..., Path]:
    """``write_baseline("valley")`` writes a tiny published checkpoint of that baseline and gives its folder."""

    def write(name: str, **options: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        return WRITERS[name](folder, **options)

    return write
