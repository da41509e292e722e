"""Video-ChatGPT, Valley, Chat-UniVi: their files, prompts and poolings, beside plain computations."""

import pytest
import torch

from omnisila.errors import WeightsError
from omnisila.models.baselines import chat_univi, valley, video_chatgpt
from omnisila.models.baselines.chat_univi import Rate, Rates
from omnisila.models.likelihood import Asked, answers_likelihood
from omnisila.models.zero_shot import ZeroShot
from omnisila.scenes.extractor import Entities
from tests.published_baselines import CLIP_WIDTH, VALLEY_TOKENS, WIDTH, tokenizer

QUESTION = "Does <video> show Fighting?"


def frames(count: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, count, 28, 28, 3), dtype=torch.uint8, generator=random)


def features(llm, count: int, seed: int = 0, absent: int = 0) -> Entities:
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(1, count, llm.backbone.patches, llm.backbone.features, generator=random)
    mask = torch.ones(values.shape[:3], dtype=torch.bool)
    mask[:, count - absent :] = False
    return Entities(values, mask)


def test_video_chatgpt_reads_a_partial_state_over_its_base(write_baseline) -> None:
    folder = write_baseline("video_chatgpt")
    llm = video_chatgpt.load(folder, torch.float32)
    partial = torch.load(folder / "video_chatgpt-7B.bin", weights_only=True)
    assert torch.equal(llm.model.get_input_embeddings().weight, partial["model.embed_tokens.weight"])
    assert torch.equal(llm.model.visual.projector.weight, partial["model.mm_projector.weight"])
    head = llm.model.lm_head.weight
    assert torch.allclose(head[-1], head[:-3].mean(0), atol=1e-6)  # tokens that nothing predicts


def test_video_chatgpts_prompt_is_the_authors_to_the_token(write_baseline) -> None:
    llm = video_chatgpt.load(write_baseline("video_chatgpt"), torch.float32)
    words = tokenizer(video_chatgpt.TOKENS)
    video = "<vid_start>" + "<vid_patch>" * 104 + "<vid_end>"  # 100 and 4 patches
    question = "Is there Fighting?"
    text = (
        "You are Video-ChatGPT, a large vision-language assistant. You are able to understand the video content that "
        "the user provides, and assist the user with a variety of tasks using natural language.Follow the instructions "
        "carefully and explain your answers in detail based on the provided video. "
        f"USER: {question}\n{video} ASSISTANT:"
    )
    assert llm.prompt_ids(question, 100, 0) == words.encode(text)
    assert llm.prompt_ids(question, 7, 0) == words.encode(text)  # fewer frames are as many tokens
    assert (
        llm.answer_ids("Fighting")
        == [*words.encode("ASSISTANT: Fighting")[1:], words.eos_token_id][len(words.encode("ASSISTANT:")) - 1 :]
    )


def test_video_chatgpt_has_100_means_over_patches_then_256_over_frames(write_baseline) -> None:
    llm = video_chatgpt.load(write_baseline("video_chatgpt"), torch.float32)
    seen = features(llm, 6, absent=2)
    rows = [seen.values[0, frame].mean(0) for frame in range(4)] + [torch.zeros(CLIP_WIDTH)] * 96
    rows += [sum(seen.values[0, frame, patch] for frame in range(4)) / 4 for patch in range(4)]
    layer = llm.model.visual.projector
    expected = torch.stack([layer.weight @ row + layer.bias for row in rows])
    assert torch.allclose(llm.backbone.project(seen)[0], expected, atol=1e-5)


def test_video_chatgpt_squeezes_frames_to_their_nearest_pixels(write_baseline) -> None:
    llm = video_chatgpt.load(write_baseline("video_chatgpt"), torch.float32)
    wide = torch.randint(0, 256, (1, 56, 112, 3), dtype=torch.uint8)
    assert torch.equal(llm.backbone.fit_frames(wide), wide[:, ::2, ::4])


def test_a_delta_is_added_to_its_base(write_baseline) -> None:
    folder = write_baseline("video_chatgpt")
    whole = folder / "LLaVA-7B-Lightening-v1-1"
    expected = video_chatgpt.load(folder, torch.float32).model.state_dict()
    shards = sorted(whole.glob("*.bin"))
    (folder / "llama-7b").mkdir()
    for shard in shards:  # base and difference: a third and two thirds, the base without what LLaVA added
        state = torch.load(shard, weights_only=True)
        base = {key: value / 3 for key, value in state.items() if "mm_projector" not in key}
        torch.save(base, folder / "llama-7b" / shard.name)
        torch.save({key: value - base.get(key, 0) for key, value in state.items()}, shard)
    index = (whole / "pytorch_model.bin.index.json").read_text()
    places = {key: name for key, name in __import__("json").loads(index)["weight_map"].items() if "mm_" not in key}
    (folder / "llama-7b" / "pytorch_model.bin.index.json").write_text(__import__("json").dumps({"weight_map": places}))
    whole.rename(folder / "LLaVA-Lightning-7B-delta-v1-1")
    summed = video_chatgpt.load(folder, torch.float32).model.state_dict()
    assert all(torch.allclose(summed[key], value, atol=1e-6) for key, value in expected.items())


@pytest.mark.parametrize("pooling", ["mean", "temporal_importance", "temporal_transformer"])
def test_valleys_three_poolings(write_baseline, pooling: str) -> None:
    folder = write_baseline("valley", pooling=pooling)
    llm = valley.load(folder, torch.float32).eval()
    state = {
        key: value for shard in folder.glob("*.bin") for key, value in torch.load(shard, weights_only=True).items()
    }
    seen = features(llm, 5)
    weight, bias = state["model.mm_projector.weight"], state["model.mm_projector.bias"]
    projected = torch.stack([torch.stack([weight @ patch + bias for patch in frame]) for frame in seen.values[0]])
    patches = projected[:, 1:]
    if pooling == "mean":
        pooled = patches.mean(0)
    elif pooling == "temporal_importance":
        scores = [
            state["model.pooling_layer.weight"][0] @ frame.reshape(-1) + state["model.pooling_layer.bias"][0]
            for frame in patches
        ]
        shares = torch.stack(scores).softmax(0)
        pooled = sum(share * frame for share, frame in zip(shares, patches, strict=True))
    else:
        pooled = torch.stack([_last_and_mean(patches[:, place], state) for place in range(4)])
    expected = torch.cat([pooled, projected[:, 0]])
    assert torch.allclose(llm.backbone.project(seen)[0], expected, atol=1e-4)
    short = Entities(seen.values[:, :3], seen.mask[:, :3])  # frames behind the video's end change nothing
    padded = features(llm, 5, absent=2)
    assert torch.allclose(llm.backbone.project(short)[0, :7], llm.backbone.project(padded)[0, :7], atol=1e-5)


def _last_and_mean(series: torch.Tensor, state: dict) -> torch.Tensor:
    """One patch through the layer along time: its last step, and its mean."""
    at = "model.transformer_delta_encoder.layers.0."
    x = series + state["model.position_matrix"][: len(series)]
    q, k, v = (x @ state[at + "self_attn.in_proj_weight"].T + state[at + "self_attn.in_proj_bias"]).chunk(3, dim=-1)
    heads = []
    for head in range(8):
        own = slice(head * WIDTH // 8, (head + 1) * WIDTH // 8)
        heads.append((q[:, own] @ k[:, own].T / (WIDTH / 8) ** 0.5).softmax(-1) @ v[:, own])
    mixed = torch.cat(heads, -1) @ state[at + "self_attn.out_proj.weight"].T + state[at + "self_attn.out_proj.bias"]
    x = _normed(x + mixed, state, at + "norm1")
    hidden = (x @ state[at + "linear1.weight"].T + state[at + "linear1.bias"]).relu()
    x = _normed(x + hidden @ state[at + "linear2.weight"].T + state[at + "linear2.bias"], state, at + "norm2")
    return x[-1] + series.mean(0)


def _normed(x: torch.Tensor, state: dict, name: str) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return (
        centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * state[name + ".weight"]
        + state[name + ".bias"]
    )


def test_valleys_prompt_is_the_authors_to_the_token(write_baseline) -> None:
    llm = valley.load(write_baseline("valley"), torch.float32)
    words = tokenizer(VALLEY_TOKENS)
    video = "<im_start>" + "<im_patch>" * 4 + "<im_end><vi_start>" + "<vi_frame>" * 8 + "<vi_end>"
    text = (
        "You are Valley, a large language and vision assistant trained by ByteDance. You are able to understand the "
        "visual content or video that the user provides, and assist the user with a variety of tasks using natural "
        "language. Follow the instructions carefully and explain your answers in detail.\n\n### Human: "
        f"{video} Is there Fighting? \n###"
    )
    frame, patch = (words.convert_tokens_to_ids(token) for token in ("<vi_frame>", "<im_patch>"))
    expected = [patch if one == frame else one for one in words.encode(text)]  # places of either kind take a vector
    assert llm.prompt_ids("Is there Fighting?", 8, 0) == expected
    assert words.decode(llm.answer_ids("Fighting")).strip() == "Assistant: Fighting \n###"


def test_chat_univis_prompt_is_the_authors_to_the_token(write_baseline) -> None:
    llm = chat_univi.load(write_baseline("chat_univi"), torch.float32)
    words = tokenizer()
    before = (
        "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the human's questions.###Human: Hi!###Assistant: Hi there! How can I help you "
        "today?###Human: "
    )
    behind = words.encode("\nIs there Fighting?###Assistant:")[1:]  # the authors tokenise what follows for itself
    expected = [*words.encode(before), *[llm.video_id] * 9, *behind]
    assert llm.prompt_ids("Is there Fighting?", 8, 0) == expected
    assert llm.video_id >= llm.model.get_input_embeddings().num_embeddings  # no text can have it


def test_chat_univi_has_112_vectors_an_event() -> None:
    rates = Rates()
    assert rates.per_event == 112
    assert [rates.temporal.clusters(count) for count in (3, 16, 17, 64, 100)] == [1, 1, 2, 4, 7]


def _plain_clusters(x: torch.Tensor, count: int, k: int) -> list[int]:
    """DPC-KNN with loops over one set of tokens."""
    n = len(x)
    k = min(3, max(count // 2, 1)) if k > count else k
    far = [[float((a - b).pow(2).sum().sqrt()) / x.shape[1] ** 0.5 for b in x] for a in x]
    density = [2.718281828459045 ** (-sum(d * d for d in sorted(row)[:k]) / k) for row in far]
    most = max(map(max, far))
    gap = [min([far[i][j] for j in range(n) if density[j] > density[i]], default=most) for i in range(n)]
    centres = sorted(range(n), key=lambda i: -gap[i] * density[i])[:count]
    owner = [min(range(count), key=lambda c: far[centres[c]][i]) for i in range(n)]
    for place, centre in enumerate(centres):
        owner[centre] = place
    return owner


@pytest.mark.parametrize(("tokens", "rate"), [(40, Rate(16, 5)), (40, Rate(1 / 16, 5)), (12, Rate(3, 3))])
def test_dpc_knn_merging_is_the_plain_one(tokens: int, rate: Rate) -> None:
    x = torch.randn(tokens, 10, generator=torch.Generator().manual_seed(tokens))
    owner = _plain_clusters(x, rate.clusters(tokens), rate.neighbours)
    assert chat_univi.clusters(x.unsqueeze(0), rate)[0].tolist() == owner
    means = [x[[i for i, own in enumerate(owner) if own == c]].mean(0) for c in range(rate.clusters(tokens))]
    assert torch.allclose(chat_univi.merge(x.unsqueeze(0), rate)[0], torch.stack(means), atol=1e-5)


def test_a_videos_events_are_merged_in_the_order_of_their_first_frames(write_baseline) -> None:
    llm = chat_univi.load(write_baseline("chat_univi"), torch.float32)
    rates, seen = llm.backbone.rates, features(llm, 20)
    video = seen.values[0]
    owner = _plain_clusters(video.mean(1), 2, 5)
    steps, level = [], [list(frame) for frame in video]
    for rate in rates.spatial:
        count, merged_frames = rate.clusters(4), []
        for frame in level:
            x = torch.stack(frame)
            own = _plain_clusters(x, count, rate.neighbours)
            merged_frames.append([x[[i for i, o in enumerate(own) if o == c]].mean(0) for c in range(count)])
        level = merged_frames
        steps.append(level)
    vectors = []
    for event in dict.fromkeys(owner):
        for rate, step in zip(rates.spatial, steps, strict=True):
            x = torch.stack([token for frame, own in enumerate(owner) if own == event for token in step[frame]])
            own = _plain_clusters(x, rate.clusters(0), rate.neighbours)
            vectors += [x[[i for i, o in enumerate(own) if o == c]].mean(0) for c in range(rate.clusters(0))]
    layer = llm.model.visual.projector
    expected = torch.stack(vectors) @ layer.weight.T + layer.bias
    made = llm.backbone.project(seen)[0]
    assert len(made) == llm.backbone.token_count(20) == 18
    assert torch.allclose(made, expected, atol=1e-4)


def test_chat_univis_noise_is_off_unless_seeded_and_then_repeats(write_baseline) -> None:
    folder = write_baseline("chat_univi")
    plain, seeded = (chat_univi.load(folder, torch.float32, noise_seed=seed) for seed in (None, 3))
    equal = plain.backbone.encode(frames(1).expand(1, 20, -1, -1, -1))  # densities that are all the same
    random = features(plain, 20)
    for seen in (equal, random):
        for llm in (plain, seeded):
            assert torch.equal(llm.backbone.project(seen), llm.backbone.project(seen))
    # two events have one neighbour each: themselves, at equal density, so that noise alone chooses the authors' centres
    assert not torch.allclose(seeded.backbone.project(random), plain.backbone.project(random), atol=1e-4)
    x = torch.randn(1, 256, 32)
    noise = torch.Generator().manual_seed(3)
    assert torch.equal(chat_univi.clusters(x, Rate(64, 5), noise), chat_univi.clusters(x, Rate(64, 5)))


@pytest.mark.parametrize(("name", "load"), [("valley", valley.load), ("chat_univi", chat_univi.load)])
def test_another_models_checkpoint_is_refused_with_the_names(write_baseline, name: str, load) -> None:
    folder = write_baseline(name)
    key = "model.layers.0.self_attn.q_proj.weight"
    shard = next(path for path in folder.glob("*.bin") if key in torch.load(path, weights_only=True))
    state = torch.load(shard, weights_only=True)
    state["model.stranger.weight"] = state.pop(key)
    torch.save(state, shard)
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(index.read_text().replace(key, "model.stranger.weight"))
    with pytest.raises(WeightsError, match=r"1 missing .*q_proj.weight.*; 1 left over .*stranger"):
        load(folder, torch.float32)


@pytest.mark.parametrize("name", ["video_chatgpt", "valley"])
def test_questions_of_several_label_sets_are_likely_together_as_they_are_alone(write_baseline, name: str) -> None:
    """Also where the video stands behind the question, so that the questions share hardly anything."""
    module = {"video_chatgpt": video_chatgpt, "valley": valley}[name]
    model = ZeroShot(module.load(write_baseline(name), torch.float32).eval())
    seen = model.video_llm.see(frames(4, batch=2), torch.ones(2, 4, dtype=torch.bool), [(28, 28)] * 2)
    asked = [Asked("Which event?", ("Fire", "Normal", "Traffic Accidents")), Asked("Which sentiment?", ("positive",))]
    together = answers_likelihood(model, {}, seen, asked)
    assert [found.log_probs.shape for found in together] == [(2, 3), (2, 1)]
    for found, each in zip(together, asked, strict=True):
        (alone,) = answers_likelihood(model, {}, seen, [each])
        torch.testing.assert_close(found.log_probs, alone.log_probs, atol=1e-4, rtol=1e-4)
        assert torch.equal(found.token_counts, alone.token_counts)


@pytest.mark.parametrize("name", ["video_chatgpt", "valley", "chat_univi"])
def test_whole_clips_become_answers(write_baseline, name: str) -> None:
    module = {"video_chatgpt": video_chatgpt, "valley": valley, "chat_univi": chat_univi}[name]
    llm = module.load(write_baseline(name), torch.float32).eval()
    from omnisila.models.tokens import batch_prompts

    seen = llm.see(frames(4, batch=2), torch.ones(2, 4, dtype=torch.bool), [(28, 28)] * 2)
    tokens = batch_prompts([llm.prompt_ids(QUESTION, 4, 0)] * 2, llm.pad_id)
    embeds = llm.embed(tokens.ids, seen)
    assert llm.decode(embeds, tokens).isfinite().all()
    made = llm.generate(embeds, tokens, 5, 1)
    assert all(1 <= len(ids) <= 5 for ids in made.ids)
