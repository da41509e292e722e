"""PandaGPT, mPLUG-Owl, VideoChat: their files, prompts, towers and connectors, beside plain computations."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from omnisila.errors import WeightsError
from omnisila.models.baselines import mplug_owl, pandagpt, videochat
from omnisila.models.tokens import batch_prompts
from omnisila.scenes.extractor import Entities
from tests.published_baselines import OWL_QUERIES, VICUNA, tokenizer

QUESTION = "Is there Fighting?"
LOADERS = {"pandagpt": pandagpt.load, "mplug_owl": mplug_owl.load, "videochat": videochat.load}


def stored(folder) -> dict[str, Tensor]:
    """Every tensor of every file of a folder and of those below, by its published name."""
    state: dict[str, Tensor] = {}
    for path in sorted([*folder.rglob("*.bin"), *folder.rglob("*.pth"), *folder.rglob("*.pt")]):
        held = torch.load(path, weights_only=True)
        state |= held.get("model", held)
    return state


def linear(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def normed(x: Tensor, state: dict[str, Tensor], name: str, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """One set of queries over one set of keys, head by head."""
    depth = q.shape[-1] // heads
    mixed = []
    for head in range(heads):
        own = slice(head * depth, (head + 1) * depth)
        mixed.append((q[:, own] @ k[:, own].T / math.sqrt(depth)).softmax(-1) @ v[:, own])
    return torch.cat(mixed, dim=-1)


def in_projection(x: Tensor, state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (x @ state[f"{name}.in_proj_weight"].T + state[f"{name}.in_proj_bias"]).chunk(3, dim=-1)
    return q, k, v


def quick_gelu(x: Tensor) -> Tensor:
    return x / (1 + (-1.702 * x).exp())


def pictures(count: int, batch: int = 1, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, count, 28, 28, 3), dtype=torch.uint8, generator=random)


def clip_pixels(frames: Tensor) -> Tensor:
    """Pixels by CLIP's statistics, channels first."""
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    return ((frames.float() / 255 - mean) / std).movedim(-1, -3)


@pytest.mark.parametrize("name", LOADERS)
def test_whole_clips_become_answers(write_baseline, name: str) -> None:
    llm = LOADERS[name](write_baseline(name), torch.float32).eval()
    fitted = torch.stack([llm.backbone.fit_frames(clip) for clip in pictures(4, batch=2)])
    seen = llm.see(fitted, torch.ones(2, 4, dtype=torch.bool), [(28, 28)] * 2)
    tokens = batch_prompts([llm.prompt_ids("Does <video> show it?", 4, 0)] * 2, llm.pad_id)
    embeds = llm.embed(tokens.ids, seen)
    assert llm.decode(embeds, tokens).isfinite().all()
    assert all(1 <= len(ids) <= 5 for ids in llm.generate(embeds, tokens, 5, 1).ids)


def test_pandagpts_prompt_is_the_authors_to_the_token(write_baseline) -> None:
    llm = pandagpt.load(write_baseline("pandagpt"), torch.float32)
    words = tokenizer()
    behind = words.encode(f"</Img> {QUESTION}\n### Assistant:", add_special_tokens=False)
    expected = [words.bos_token_id, *words.encode("### Human: <Img>", add_special_tokens=False), llm.video_id, *behind]
    assert llm.prompt_ids(QUESTION, 10, 0) == expected
    assert llm.answer_ids("Fighting") == words.encode("Fighting\n###", add_special_tokens=False)


def test_pandagpts_adapters_are_added_to_vicuna(write_baseline) -> None:
    folder = write_baseline("pandagpt")
    llm, state = pandagpt.load(folder, torch.float32), stored(folder)
    at = "llama_model.base_model.model.model.layers.1.self_attn.v_proj"
    change = state[f"{at}.lora_B.default.weight"] @ state[f"{at}.lora_A.default.weight"] * (32 / 32)
    expected = state["model.layers.1.self_attn.v_proj.weight"] + change
    assert torch.allclose(llm.model.language_model.model.layers[1].self_attn.v_proj.weight, expected, atol=1e-6)


def test_imagebinds_trunk_and_the_mean_over_clips_and_crops(write_baseline) -> None:
    folder = write_baseline("pandagpt")
    llm, state = pandagpt.load(folder, torch.float32).eval(), stored(folder)
    frames = torch.randint(0, 256, (4, 28, 56, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    vectors = []
    for first in (0, 2):
        for left in (0, 14, 28):
            pair = clip_pixels(frames[first : first + 2, :, left : left + 28])
            vectors.append(_imagebind(pair, state))
    expected = linear(torch.stack(vectors).mean(0), state, "llama_proj")
    fitted = llm.backbone.fit_frames(frames).unsqueeze(0)
    made = llm.backbone.project(llm.backbone.encode(fitted))
    assert made.shape[1] == llm.backbone.token_count(4) == 1
    assert torch.allclose(made[0, 0], expected, atol=1e-4)


def _imagebind(pair: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Two frames (2, 3, 28, 28) to a unit vector."""
    weight = state["modality_preprocessors.vision.rgbt_stem.proj.1.weight"]
    rows = [state["modality_preprocessors.vision.cls_token"][0, 0]]
    for top in (0, 14):
        for left in (0, 14):
            block = pair[:, :, top : top + 14, left : left + 14].transpose(0, 1)
            rows.append((weight * block).sum((1, 2, 3, 4)))
    x = torch.stack(rows) + state["modality_preprocessors.vision.pos_embedding_helper.pos_embed"][0]
    x = normed(x, state, "modality_trunks.vision.pre_transformer_layer.0", 1e-6)
    for layer in range(2):
        at = f"modality_trunks.vision.blocks.{layer}"
        q, k, v = in_projection(normed(x, state, f"{at}.norm_1", 1e-6), state, f"{at}.attn")
        x = x + linear(attention(q, k, v, 2), state, f"{at}.attn.out_proj")
        hidden = F.gelu(linear(normed(x, state, f"{at}.norm_2", 1e-6), state, f"{at}.mlp.fc1"))
        x = x + linear(hidden, state, f"{at}.mlp.fc2")
    vector = state["modality_heads.vision.2.weight"] @ normed(x[0], state, "modality_heads.vision.0", 1e-6)
    return vector / vector.norm()


def test_pandagpt_tells_the_licence_of_its_visual_trunk(write_baseline) -> None:
    assert "non-commercial" in pandagpt.load(write_baseline("pandagpt"), torch.float32).backbone.notice


def test_an_adapter_of_another_model_is_refused(write_baseline) -> None:
    folder = write_baseline("pandagpt")
    state = torch.load(folder / "pytorch_model.pt", weights_only=True)
    moved = {key.replace("layers.1.", "layers.7."): value for key, value in state.items()}
    torch.save(moved, folder / "pytorch_model.pt")
    with pytest.raises(WeightsError, match=r"layers\.7.*the language model lacks"):
        pandagpt.load(folder, torch.float32)


def test_mplug_owls_prompt_is_the_authors_to_the_token(write_baseline) -> None:
    llm = mplug_owl.load(write_baseline("mplug_owl"), torch.float32)
    words = tokenizer()
    before = (
        "The following is a conversation between a curious human and AI assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions.\nHuman: "
    )
    stretches = [words.encode(text, add_special_tokens=False) for text in (before, f"\nHuman: {QUESTION}\nAI: ")]
    places = [llm.video_id] * (OWL_QUERIES + 1)
    assert llm.prompt_ids(QUESTION, 4, 0) == [words.bos_token_id, *stretches[0], *places, *stretches[1]]


@pytest.mark.parametrize("count", [1, 4])
def test_mplug_owls_tower_with_its_temporal_branch(write_baseline, count: int) -> None:
    folder = write_baseline("mplug_owl")
    llm, state = mplug_owl.load(folder, torch.float32).eval(), stored(folder)
    frames = pictures(count)
    at = "vision_model.embeddings"
    states = []
    for picture in clip_pixels(frames[0]):
        rows = [state[f"{at}.cls_token"][0, 0]]
        for top in (0, 14):
            for left in (0, 14):
                block = picture[:, top : top + 14, left : left + 14]
                rows.append((state[f"{at}.patch_embed.weight"] * block).sum((1, 2, 3)))
        embedded = torch.stack(rows) + state[f"{at}.position_embedding"][0]
        states.append(normed(embedded, state, f"{at}.pre_layernorm", 1e-6))
    x = torch.stack(states)
    for layer in range(2):
        x = _owl_layer(x, state, f"vision_model.encoder.layers.{layer}")
    expected = normed(x, state, "vision_model.post_layernorm", 1e-6)
    assert torch.allclose(llm.backbone.encode(frames).values[0], expected, atol=1e-4)


def _owl_layer(x: Tensor, state: dict[str, Tensor], at: str) -> Tensor:
    if len(x) > 1:
        added = x.clone()  # class tokens are returned as they are, and so are doubled
        down, conv, up = (state[f"{at}.temporal.{name}.weight"] for name in ("down_proj", "conv", "up_proj"))
        for place in range(1, x.shape[1]):
            series = normed(x[:, place], state, f"{at}.temporal.ln", 1e-5) @ down[:, :, 0, 0, 0].T
            series = F.pad(series + state[f"{at}.temporal.down_proj.bias"], (0, 0, 1, 1))
            taps = conv[:, 0, :, 0, 0]
            mixed = [sum(series[t + k] * taps[:, k] for k in range(3)) for t in range(len(x))]
            mixed = quick_gelu(torch.stack(mixed) + state[f"{at}.temporal.conv.bias"])
            added[:, place] = mixed @ up[:, :, 0, 0, 0].T + state[f"{at}.temporal.up_proj.bias"]
        x = x + added
    made = []
    for frame in x:
        heads = linear(normed(frame, state, f"{at}.input_layernorm", 1e-6), state, f"{at}.self_attn.query_key_value")
        parted = heads.reshape(len(frame), 4, 3, 8)
        q, k, v = (parted[:, :, kind].reshape(len(frame), 32) for kind in range(3))
        frame = frame + linear(attention(q, k, v, 4), state, f"{at}.self_attn.dense")
        hidden = linear(normed(frame, state, f"{at}.post_attention_layernorm", 1e-6), state, f"{at}.mlp.fc1")
        made.append(frame + linear(quick_gelu(hidden), state, f"{at}.mlp.fc2"))
    return torch.stack(made)


@pytest.mark.parametrize("count", [1, 3])
def test_mplug_owls_abstractor_with_its_temporal_queries(write_baseline, count: int) -> None:
    folder = write_baseline("mplug_owl")
    llm, state = mplug_owl.load(folder, torch.float32).eval(), stored(folder)
    values = torch.randn(1, count, 5, 32, generator=torch.Generator().manual_seed(2))
    x = state["query_tokens"][0]
    if count > 1:
        x = torch.cat([x, state["temporal_query_tokens"][0]])
    seen = values[0].reshape(-1, 32)
    for layer in range(2):
        at = f"abstractor.encoder.layers.{layer}.crossattention"
        x = normed(x, state, f"{at}.norm1", 1e-5)
        sources = torch.cat([x, normed(seen, state, f"{at}.normk", 1e-5)])
        q, k, v = (
            linear(rows, state, f"{at}.attention.{name}")
            for rows, name in ((x, "query"), (sources, "key"), (sources, "value"))
        )
        x = x + linear(attention(q, k, v, 4), state, f"{at}.output.out_proj")
        y = normed(x, state, f"{at}.output.norm2", 1e-5)
        gated = F.silu(linear(y, state, f"{at}.output.mlp.w1")) * linear(y, state, f"{at}.output.mlp.w3")
        x = x + linear(normed(gated, state, f"{at}.output.mlp.ffn_ln", 1e-6), state, f"{at}.output.mlp.w2")
    vectors = linear(x[:OWL_QUERIES], state, "abstractor.visual_fc")
    if count > 1:
        vectors = vectors + linear(x[OWL_QUERIES:], state, "abstractor.temporal_visual_fc")
    expected = torch.cat([vectors, state["abstractor.vit_eos"][0]])
    visual = Entities(values, torch.ones(1, count, 5, dtype=torch.bool))
    assert torch.allclose(llm.backbone.project(visual)[0], expected, atol=1e-4)


def test_videochats_prompt_is_the_authors_to_the_token_and_tells_the_times(write_baseline) -> None:
    llm = videochat.load(write_baseline("videochat"), torch.float32)
    words, times_s = tokenizer(), [0.26, 1.0, 12.04]
    behind = (
        f"</Video> The video contains 3 frames sampled at 0.3, 1.0, 12.0 seconds.\n###Human: {QUESTION}\n###Assistant:"
    )
    expected = [
        *words.encode("###Human: <Video>"),
        *[llm.video_id] * 8,
        *words.encode(behind, add_special_tokens=False),
    ]
    assert llm.prompt_ids(QUESTION, 3, 0, times_s) == expected


def test_videochats_tower_with_its_global_aggregators(write_baseline) -> None:
    folder = write_baseline("videochat")
    llm, state = videochat.load(folder, torch.float32).eval(), stored(folder)
    frames = pictures(2)
    x = []
    for picture in clip_pixels(frames[0]):
        rows = [state["cls_token"][0, 0]]
        for top in (0, 14):
            for left in (0, 14):
                block = picture[:, top : top + 14, left : left + 14]
                rows.append((state["patch_embed.proj.weight"] * block).sum((1, 2, 3)) + state["patch_embed.proj.bias"])
        x.append(torch.stack(rows) + state["pos_embed"][0])
    token = state["visual_encoder.gmhra_cls_token"][0]
    for layer in range(3):
        x = [_eva_block(frame, state, f"blocks.{layer}") for frame in x]
        if layer > 0:  # two aggregators, on the last two layers in order
            token = _gmhra(token, torch.stack(x), state, f"visual_encoder.gmhra.{layer - 1}")
    made = llm.backbone.encode(frames).values[0]
    assert torch.allclose(made[:, 1:], torch.stack(x), atol=1e-3)
    assert torch.allclose(made[:, 0], token.expand(2, -1), atol=1e-3)


def _eva_block(x: Tensor, state: dict[str, Tensor], at: str) -> Tensor:
    bias = torch.cat([state[f"{at}.attn.q_bias"], torch.zeros(176), state[f"{at}.attn.v_bias"]])
    q, k, v = (normed(x, state, f"{at}.norm1", 1e-6) @ state[f"{at}.attn.qkv.weight"].T + bias).chunk(3, dim=-1)
    x = x + linear(attention(q, k, v, 2), state, f"{at}.attn.proj")
    return x + linear(
        F.gelu(linear(normed(x, state, f"{at}.norm2", 1e-6), state, f"{at}.mlp.fc1")), state, f"{at}.mlp.fc2"
    )


def _gmhra(token: Tensor, frames: Tensor, state: dict[str, Tensor], at: str) -> Tensor:
    y = normed(frames, state, f"{at}.ln_3", 1e-5)
    kernel, placed = state[f"{at}.dpe.weight"][:, 0], y.clone()
    count = len(y)
    for t in range(count):
        for row in range(2):
            for column in range(2):
                total = state[f"{at}.dpe.bias"].clone()
                for dt in (-1, 0, 1):
                    for dr in (-1, 0, 1):
                        for dc in (-1, 0, 1):
                            if 0 <= t + dt < count and 0 <= row + dr < 2 and 0 <= column + dc < 2:
                                near = y[t + dt, 1 + 2 * (row + dr) + column + dc]
                                total = total + near * kernel[:, 1 + dt, 1 + dr, 1 + dc]
                placed[t, 1 + 2 * row + column] += total
    sources = placed.reshape(-1, y.shape[-1])
    q = in_projection(normed(token, state, f"{at}.ln_1", 1e-5), state, f"{at}.attn")[0]
    _, k, v = in_projection(sources, state, f"{at}.attn")
    token = token + linear(attention(q, k, v, 2), state, f"{at}.attn.out_proj")
    hidden = F.gelu(linear(normed(token, state, f"{at}.ln_2", 1e-5), state, f"{at}.mlp.c_fc"))
    return token + linear(hidden, state, f"{at}.mlp.c_proj")


def test_videochats_qformer_reads_all_frames(write_baseline) -> None:
    folder = write_baseline("videochat")
    llm, state = videochat.load(folder, torch.float32).eval(), stored(folder)
    random = torch.Generator().manual_seed(4)
    values = torch.randn(1, 3, 6, 176, generator=random)
    values[:, :, 0] = values[:, :1, 0]  # the aggregated token is the video's
    seen = normed(torch.cat([values[0, :, 1:].reshape(-1, 176), values[0, 0, :1]]), state, "ln_vision", 1e-5)
    x = torch.cat([state["query_tokens"][0], state["extra_query_tokens"][0]])
    x = normed(x, state, "Qformer.bert.embeddings.LayerNorm", 1e-12)
    for layer in range(2):
        at = f"Qformer.bert.encoder.layer.{layer}"
        for kind, sources in (("attention", x), ("crossattention", seen))[: 2 - layer]:
            rows = {
                "query": x,
                "key": x if kind == "attention" else sources,
                "value": x if kind == "attention" else sources,
            }
            q, k, v = (linear(own, state, f"{at}.{kind}.self.{name}") for name, own in rows.items())
            out = linear(attention(q, k, v, 2), state, f"{at}.{kind}.output.dense")
            x = normed(x + out, state, f"{at}.{kind}.output.LayerNorm", 1e-12)
        hidden = F.gelu(linear(x, state, f"{at}.intermediate_query.dense"))
        x = normed(x + linear(hidden, state, f"{at}.output_query.dense"), state, f"{at}.output_query.LayerNorm", 1e-12)
    visual = Entities(values, torch.ones(1, 3, 6, dtype=torch.bool))
    assert torch.allclose(llm.backbone.project(visual)[0], linear(x, state, "llama_proj"), atol=1e-4)


def test_frames_that_are_not_there_change_nothing(write_baseline) -> None:
    for name in LOADERS:
        llm = LOADERS[name](write_baseline(name), torch.float32).eval()
        values = torch.randn(1, 4, llm.backbone.patches, llm.backbone.features)
        values[:, :, 0] = values[:, :1, 0] if name == "videochat" else values[:, :, 0]
        mask = torch.ones(values.shape[:3], dtype=torch.bool)
        mask[:, 2:] = False
        other = values.clone()
        other[:, 2:, 1:] += 1.0
        made = [llm.backbone.project(Entities(one, mask)) for one in (values, other)]
        assert torch.equal(made[0], made[1])
        assert not llm.backbone.project(Entities(values, mask & False)).any()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("pandagpt", "imagebind_huge.pth"),
        ("pandagpt", VICUNA),
        ("videochat", "videochat_7b.pth"),
        ("videochat", "eva_vit_g.pth"),
    ],
)
def test_a_missing_file_is_named_with_where_it_is_published(write_baseline, name: str, file: str) -> None:
    folder = write_baseline(name)
    (folder / file).rename(folder / "elsewhere")
    with pytest.raises(WeightsError, match=f"lacks .*{file}.*github.com"):
        LOADERS[name](folder, torch.float32)
