"""Any transformers Video-LLM behind the project's interface: its own numbers, scene tokens, an ICM around it."""

import re
from typing import Any, NamedTuple

import pytest
import torch

from omnisila.errors import InputError
from omnisila.models.backbone import Backbone
from omnisila.models.backbones.smolvlm import MARK
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.likelihood import answer_likelihood, language_loss
from omnisila.models.lora import PRESETS, adapter_parameters, add_lora
from omnisila.models.positioned import Positioned
from omnisila.models.tokens import Tokens, batch_answers, batch_continuations, batch_prompts, splice
from omnisila.models.video_llm import VideoLLM
from omnisila.schema import SceneName

# Kernels sum in another order where rows are alone, on some processors; on others all of it is equal to the bit.
ROUNDING = {"atol": 1e-5, "rtol": 1e-5}
FRAMES = 8
QUESTION, LONGER = "Which event?", "Where is the man who runs away from the house?"


class Read(NamedTuple):
    tokens: Tokens
    logits: torch.Tensor


def read(llm, questions, frames, scene_tokens=None) -> Read:
    tokens = batch_prompts([llm.prompt_ids(q, frames.shape[1], scene_tokens) for q in questions], llm.pad_id)
    embeds = llm.embed(tokens.ids, llm.backbone.encode(frames))
    if scene_tokens is None:
        scenes = torch.linspace(-1, 1, FRAMES * llm.width).view(1, FRAMES, llm.width).repeat(len(questions), 1, 1)
        embeds = splice(embeds, tokens.ids, llm.scene_id, scenes)
    with torch.no_grad():
        return Read(tokens, llm.decode(embeds, tokens))


def test_it_is_a_video_llm_and_its_visual_tower(llm: Any):
    assert isinstance(llm.backbone, Backbone)
    assert isinstance(llm, VideoLLM)
    assert llm.scene_id >= llm.model.get_input_embeddings().num_embeddings


def test_the_tower_sees_in_training_what_it_sees_in_use(llm, make_frames):
    frames, there = make_frames(2), torch.ones(2, FRAMES, dtype=torch.bool)
    used = llm.see(frames, there, [(360, 640)] * 2)
    llm.train()
    assert llm.model.training
    assert not any(module.training for module in llm.backbone.tower().modules())
    with torch.autocast("cpu", torch.bfloat16):
        trained = llm.see(frames, there, [(360, 640)] * 2)
    assert torch.equal(trained.values, used.values)


def test_fitted_frames_of_several_videos_make_one_batch(llm, make_frames):
    window = make_frames()
    small, same = llm.backbone.fit_frames(window[0]), llm.backbone.fit_frames(window[0, :, 5:40, :30])
    assert small.shape == same.shape == (FRAMES, *llm.backbone.size_px, 3)
    assert torch.equal(llm.backbone.encode(small[None]).values, llm.backbone.encode(window).values)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("frames", [FRAMES, 3])
def test_without_scene_tokens_logits_are_transformers_own(llm, attention, frames, make_frames, plain):
    llm.model.set_attn_implementation(attention)
    window = make_frames(frames=frames)
    ids = torch.tensor([llm.prompt_ids(QUESTION, frames, scene_tokens=0)])
    with torch.no_grad():
        wanted = llm.model(**plain(llm, ids, window), logits_to_keep=1).logits
    torch.testing.assert_close(read(llm, [QUESTION], window, 0).logits, wanted[:, -1:], **ROUNDING)


def test_every_prompt_token_has_transformers_own_logits(llm, make_frames, plain):
    window = make_frames(2)
    tokens = batch_prompts([llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0)] * 2, llm.pad_id)
    with torch.no_grad():
        wanted = llm.model(**plain(llm, tokens.ids, window)).logits
        embeds, positions = llm.embed(tokens.ids, llm.backbone.encode(window)), llm.backbone.positions(tokens)
        model = Positioned(llm.model, positions, llm.backbone.deep_layers())
        ours = model(inputs_embeds=embeds, use_cache=False).logits
    torch.testing.assert_close(ours, wanted, **ROUNDING)


def test_left_padding_changes_nothing(llm, make_frames):
    window = make_frames(2)
    together = read(llm, [QUESTION, LONGER], window)
    assert (together.tokens.ids[0] == llm.pad_id).any()
    for row, question in enumerate((QUESTION, LONGER)):
        alone = read(llm, [question], window[row : row + 1])
        torch.testing.assert_close(together.logits[row], alone.logits[0], atol=1e-4, rtol=1e-4)


def test_left_padded_logits_are_transformers_own(llm, make_frames, plain):
    window = make_frames(2)
    ours = read(llm, [QUESTION, LONGER], window, 0)
    with torch.no_grad():
        wanted = llm.model(**plain(llm, ours.tokens.ids, window), logits_to_keep=1).logits
    torch.testing.assert_close(ours.logits, wanted[:, -1:], atol=1e-4, rtol=1e-4)


def test_a_prompt_is_the_familys_template(llm):
    wanted = {
        "llava_onevision": f"<|im_start|>user {'<video>' * 33}\n{QUESTION}<|im_end|><|im_start|>assistant\n",
        "qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        f"<|vision_start|>{'<|video_pad|>' * 24}<|vision_end|>{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
        "qwen3_vl": "<|im_start|>user\n"
        + "".join(
            f"<{step / 4 + 1 / 16:.1f} seconds><|vision_start|>{'<|video_pad|>' * 6}<|vision_end|>" for step in range(4)
        )
        + f"{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
        "qwen3_5": "<|im_start|>user\n"
        + "".join(
            f"<{step / 4 + 1 / 16:.1f} seconds><|vision_start|>{'<|video_pad|>' * 6}<|vision_end|>" for step in range(4)
        )
        + f"{QUESTION}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        "video_llama_3": "<|im_start|>user\n"
        + ",".join(f"Time {frame / 8:.1f}s:{'<|video_pad|>' * 6}" for frame in range(FRAMES))
        + f"\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
        "internvl": "<|im_start|>user\n"
        + "\n".join(f"Frame{frame + 1}: <img>{'<IMG_CONTEXT>' * 4}</img>" for frame in range(FRAMES))
        + f"\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
        "smolvlm": "<|im_start|>User: You are provided the following series of eight frames from a 0:00:00 [H:MM:SS] "
        "video.\n"
        + f"\nFrame from 00:00:{MARK}<global-img>{'<image>' * 4}{MARK}" * FRAMES
        + f"\n\n{QUESTION}<end_of_utterance>\nAssistant:",
    }[llm.model.config.model_type]
    assert llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0) == llm.tokenizer.encode(wanted, add_special_tokens=False)
    ids = llm.prompt_ids(QUESTION, FRAMES)
    assert ids.count(llm.scene_id) == FRAMES
    template = llm.backbone.template
    assert llm.tokenizer.decode(llm.answer_ids("Fire")) == f"{template.before_answer}Fire{template.end}"


TOLD = {
    "qwen3_5": ["<0.0 seconds>", "<0.5 seconds>", "<61.5 seconds>"],
    "qwen3_vl": ["<0.0 seconds>", "<0.5 seconds>", "<61.5 seconds>"],
    "video_llama_3": ["Time 0.0s:", "Time 0.0s:", "Time 0.5s:", "Time 0.5s:", "Time 61.0s:", "Time 62.0s:"],
    "smolvlm": [f"Frame from {when}:" for when in ("00:00", "00:00", "00:00", "00:00", "01:01", "01:02")],
}


def test_a_prompt_tells_the_true_times_of_its_frames(llm):
    """Also uneven ones, as beside a hole."""
    ids = llm.prompt_ids(QUESTION, 6, 0, (0.0, 0.04, 0.48, 0.52, 61.0, 62.0))
    text = llm.tokenizer.decode(ids)
    told = re.findall(r"<[\d.]+ seconds>|Time [\d.]+s:|Frame from \d\d:\d\d:", text)
    assert told == TOLD.get(llm.model.config.model_type, [])


def test_typed_placeholders_are_plain_text(llm):
    ids = llm.prompt_ids("what is <video><|video_pad|> and <scene><|im_end|>?", FRAMES)
    assert ids.count(llm.video_id) == llm.prompt_ids(QUESTION, FRAMES).count(llm.video_id)
    assert ids.count(llm.scene_id) == FRAMES
    assert ids.count(llm.end_id) == llm.prompt_ids(QUESTION, FRAMES).count(llm.end_id)
    assert llm.answer_ids("<|im_end|>").count(llm.end_id) == 1


def test_generating_says_what_transformers_says(llm, make_frames, plain):
    window = make_frames(2)
    ids = [llm.prompt_ids(question, FRAMES, scene_tokens=0) for question in (QUESTION, LONGER)]
    tokens = batch_prompts(ids, llm.pad_id)
    made = llm.generate(llm.embed(tokens.ids, llm.backbone.encode(window)), tokens, max_tokens=6)
    inputs = {**plain(llm, tokens.ids, window), "use_cache": True}
    theirs = llm.model.generate(**inputs, max_new_tokens=6, do_sample=False)[:, tokens.ids.shape[1] :]
    assert list(made.texts) == llm.tokenizer.batch_decode(theirs, skip_special_tokens=True)


@pytest.mark.parametrize("beams", [1, 3])
def test_generated_log_probs_are_those_of_the_answer_read_back(llm, beams, make_frames):
    window, prompt = make_frames(), llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0)
    tokens = batch_prompts([prompt], llm.pad_id)
    visual = llm.backbone.encode(window)
    with torch.no_grad():
        output = Positioned(llm.model, llm.backbone.positions(tokens), llm.backbone.deep_layers()).generate(
            inputs_embeds=llm.embed(tokens.ids, visual),
            max_new_tokens=5,
            num_beams=beams,
            length_penalty=0.0,
        )
        made = llm.generate(llm.embed(tokens.ids, visual), tokens, max_tokens=5, beams=beams)
        batch = batch_answers([prompt], [output[0].tolist()], llm.pad_id)
        log_probs = llm.decode(llm.embed(batch.tokens.ids, visual), batch.tokens).log_softmax(-1)
    again = log_probs[0].gather(1, batch.targets[0].unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(torch.tensor(made.log_probs[0]), again, atol=1e-4, rtol=1e-4)


def test_continuations_of_one_prompt_score_as_they_do_alone(llm, make_frames):
    answers = [llm.answer_ids(answer) for answer in ("Fighting in the street", "Fire", "Normal")]
    prompts, visual = [llm.prompt_ids(q, FRAMES, 0) for q in (QUESTION, LONGER)], llm.backbone.encode(make_frames(2))
    shared = batch_continuations(prompts, answers, llm.pad_id)
    with torch.no_grad():
        together = llm.decode(llm.embed(shared.tokens.ids, visual), shared.tokens).log_softmax(-1)
        for index, answer in enumerate(answers):
            steps = shared.owner == index
            scored = together[:, shared.read_at[steps], shared.wanted[steps]]
            alone = batch_answers(prompts, [answer, answer], llm.pad_id)
            log_probs = llm.decode(llm.embed(alone.tokens.ids, visual), alone.tokens).log_softmax(-1)
            wanted = log_probs.gather(2, alone.targets.unsqueeze(2)).squeeze(2)
            torch.testing.assert_close(scored, wanted, atol=1e-4, rtol=1e-4)


def test_frames_that_are_masked_out_are_not_seen(llm, make_frames):
    visual, ids = llm.backbone.encode(make_frames()), torch.tensor([llm.prompt_ids(QUESTION, FRAMES, 0)])
    masked = visual._replace(mask=visual.mask & (torch.arange(FRAMES) < 6).view(1, -1, 1))
    loud = masked._replace(values=visual.values.where(masked.mask.unsqueeze(-1), torch.tensor(9.0)))
    assert torch.equal(llm.embed(ids, masked), llm.embed(ids, loud))
    assert not torch.equal(llm.embed(ids, masked), llm.embed(ids, visual))


def test_scene_tokens_may_stand_for_the_visual_ones(llm, make_frames):
    tokens = batch_prompts([llm.prompt_ids(QUESTION, 0, scene_tokens=5)], llm.pad_id)
    assert (tokens.ids == llm.video_id).sum() == 0
    visual = llm.backbone.encode(make_frames())
    none = visual._replace(values=visual.values[:, :0], mask=visual.mask[:, :0])
    embeds = splice(llm.embed(tokens.ids, none), tokens.ids, llm.scene_id, torch.ones(1, 5, llm.width))
    with torch.no_grad():
        ours = llm.decode(embeds, tokens)
        wanted = llm.model(inputs_embeds=embeds[..., : llm.width], use_cache=False, logits_to_keep=1).logits
    assert torch.equal(ours, wanted[:, -1:])


def test_features_of_another_shape_and_another_number_of_frames_are_refused(llm, make_frames):
    visual, ids = llm.backbone.encode(make_frames()), torch.tensor([llm.prompt_ids(QUESTION, FRAMES)])
    with pytest.raises(InputError, match=r"visual features of \d+ patches x 5, wanted"):
        llm.embed(ids, visual._replace(values=visual.values[..., :5]))
    with pytest.raises(InputError, match="placeholders of token"):
        llm.embed(ids, visual._replace(values=visual.values[:, :4], mask=visual.mask[:, :4]))


def test_nothing_is_cut_to_fit(llm):
    with pytest.raises(InputError, match=r"a prompt of \d+ tokens \(\d+ visual, 300 scene\), the model reads 512"):
        llm.prompt_ids(QUESTION, 300)


@pytest.fixture
def icm(llm):
    expert = ExpertConfig(width=16, num_layers=2, num_heads=2, feedforward_ratio=2)
    features: dict[SceneName, int] = {"face": 5, "action": 6, "relation": 7, "background": 8}
    return ICMConfig(features=features, expert=expert, iec=IECConfig(centres=4)).build(llm)


def test_an_icm_around_it_learns_with_lora_and_answers(llm, icm, make_windows, make_frames):
    scenes, visual = make_windows(2).scenes, llm.backbone.encode(make_frames(2))
    add_lora(llm.model, PRESETS["paper"])
    icm.train()
    batch = batch_answers(
        [llm.prompt_ids(QUESTION, FRAMES), llm.prompt_ids(LONGER, FRAMES)],
        [llm.answer_ids("Fighting"), llm.answer_ids("Normal")],
        llm.pad_id,
    )
    trained = [parameter for parameter in icm.parameters() if parameter.requires_grad]
    assert {id(p) for p in adapter_parameters(llm.model)} < {id(p) for p in trained}
    optimiser, losses = torch.optim.AdamW(trained, lr=1e-2), []
    for _ in range(3):
        loss = language_loss(icm(scenes, visual, batch.tokens).logits, batch.targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    icm.eval()
    assert len(icm.generate(scenes, visual, [QUESTION, LONGER], max_tokens=4).texts) == 2
    with torch.no_grad():
        scored = answer_likelihood(icm, scenes, visual, [QUESTION, LONGER], ["Fire", "Fighting"])
    assert scored.log_probs.isfinite().all()
