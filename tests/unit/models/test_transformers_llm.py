"""Any transformers Video-LLM: two families that differ, tiny, against transformers' own forward of each."""

import json
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from omnisila.errors import InputError, WeightsError
from omnisila.models import backbones
from omnisila.models.backbone import Backbone, Footage, preprocess
from omnisila.models.backbones import build_backbone, family_names
from omnisila.models.backbones.qwen2_5_vl import fitting_size
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.likelihood import answer_likelihood, language_loss
from omnisila.models.lora import PRESETS, adapter_parameters, add_lora
from omnisila.models.tokens import Tokens, answered, continued, prompted
from omnisila.models.transformers_llm import TransformersVideoLLM, from_pretrained
from omnisila.models.video_llm import VideoLLM, splice
from omnisila.models.visual_tower import VisualTower
from omnisila.schema import SceneName

FRAMES = 8
QUESTION, LONGER = "Which event?", "Where is the man who runs away from the house?"
FAMILIES = ["llava_onevision", "qwen2_5_vl"]
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<video>", "<image>",
    "<|vision_start|>", "<|vision_end|>", "<|video_pad|>", "<|image_pad|>",
]  # fmt: skip
SIZE = {"shortest_edge": 28 * 28, "longest_edge": 56 * 84}
FOOTAGE = Footage(height_px=56, width_px=84, rate_hz=8.0)
TEXT: dict[str, Any] = {
    "vocab_size": 384, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 512,
}  # fmt: skip


def chat_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer: Any = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer: Any = BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(["user assistant system You are a helpful assistant.", QUESTION, LONGER], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], eos_token=SPECIAL[2], clean_up_tokenization_spaces=False,
        extra_special_tokens=SPECIAL[3:],
    )  # fmt: skip


def llava_onevision() -> LlavaOnevisionForConditionalGeneration:
    """3 x 3 patches a frame, which halving pads to 2 x 2."""
    vision = SiglipVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=42, patch_size=14,
        vision_use_head=False,
    )  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=vision, text_config=Qwen2Config(**TEXT), image_token_index=SPECIAL.index("<image>"),
        video_token_index=SPECIAL.index("<video>"),
    )  # fmt: skip
    return LlavaOnevisionForConditionalGeneration(config)


def qwen2_5_vl() -> Qwen2_5_VLForConditionalGeneration:
    """Patches of 14 px merged by 2 x 2; layers that see windows of 28 px, and one that sees the frame."""
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
        "window_size": 56, "fullatt_block_indexes": [1], "tokens_per_second": 2,
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope}, vision_config=vision,
        video_token_id=SPECIAL.index("<|video_pad|>"), image_token_id=SPECIAL.index("<|image_pad|>"),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"), vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(config)


def plain_inputs(llm: TransformersVideoLLM, ids: torch.Tensor, frames: torch.Tensor) -> dict[str, Any]:
    """What transformers' own forward takes for the same prompt and frames."""
    real: dict[str, Any] = {"input_ids": ids, "attention_mask": (ids != llm.pad_id).long(), "use_cache": False}
    backbone: Any = llm.backbone
    if llm.model.config.model_type == "llava_onevision":
        pixels = preprocess(frames, (42, 42), backbone.settings).unflatten(0, frames.shape[:2])
        return {**real, "pixel_values_videos": pixels}
    steps, batch = -(-frames.shape[1] // 2), len(frames)
    return {
        **real,
        "pixel_values_videos": backbone.patchify(frames).flatten(0, 1),
        "video_grid_thw": torch.tensor([[steps, 4, 6]] * batch),
        "mm_token_type_ids": (ids == llm.video_id).int() * 2,
        "second_per_grid_ts": torch.full((batch,), 2 / 8.0),
    }


def pictures(batch: int = 1, frames: int = FRAMES, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, frames, 50, 70, 3), dtype=torch.uint8, generator=random)


def built(family: str, seed: int = 0) -> TransformersVideoLLM:
    """A tiny model with weights that say something distinct."""
    torch.manual_seed(seed)
    model: Any = {"llava_onevision": llava_onevision, "qwen2_5_vl": qwen2_5_vl}[family]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return TransformersVideoLLM(model, chat_tokenizer(), build_backbone(model, {"size": SIZE}, FOOTAGE)).eval()


@pytest.fixture(params=FAMILIES)
def llm(request):
    return built(request.param)


@pytest.fixture
def qwen():
    return built("qwen2_5_vl")


class Read(NamedTuple):
    tokens: Tokens
    logits: torch.Tensor


def read(llm, questions, frames, scene_tokens=None, all_logits=False) -> Read:
    tokens = prompted([llm.prompt_ids(q, frames.shape[1], scene_tokens) for q in questions], llm.pad_id)
    embeds = llm.embed(tokens.ids, llm.encode(frames))
    if scene_tokens is None:
        scenes = torch.linspace(-1, 1, FRAMES * llm.width).view(1, FRAMES, llm.width).repeat(len(questions), 1, 1)
        embeds = splice(embeds, tokens.ids, llm.scene_id, scenes)
    with torch.no_grad():
        return Read(tokens, llm.decode(embeds, tokens._replace(prompt_length=1) if all_logits else tokens))


def test_it_is_a_video_llm_and_its_visual_tower(llm: Any):
    assert isinstance(llm.backbone, Backbone)
    assert all(isinstance(llm, protocol) for protocol in (VideoLLM, VisualTower))
    assert llm.scene_id >= llm.model.get_input_embeddings().num_embeddings


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("frames", [FRAMES, 3])
def test_without_scene_tokens_logits_are_transformers_own_to_the_bit(llm, attention, frames):
    llm.model.set_attn_implementation(attention)
    window = pictures(frames=frames)
    ids = torch.tensor([llm.prompt_ids(QUESTION, frames, scene_tokens=0)])
    with torch.no_grad():
        plain = llm.model(**plain_inputs(llm, ids, window), logits_to_keep=1).logits
    assert torch.equal(read(llm, [QUESTION], window, 0).logits, plain)


def test_every_prompt_token_has_transformers_own_logits_to_the_bit(llm):
    """``prompt_length`` 1 asks for the logits of all tokens; position ids are those of the plain forward."""
    window = pictures(2)
    ids = torch.tensor([llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0)] * 2)
    tokens = prompted(ids.tolist(), llm.pad_id)
    with torch.no_grad():
        plain = llm.model(**plain_inputs(llm, ids, window)).logits
        embeds = llm.embed(ids, llm.encode(window))
        positions = llm.backbone.positions(tokens)
        ours = llm.model(inputs_embeds=embeds, position_ids=positions, use_cache=False).logits
    assert torch.equal(ours, plain)


def test_left_padding_changes_nothing(llm):
    window = pictures(2)
    together = read(llm, [QUESTION, LONGER], window)
    assert (together.tokens.ids[0] == llm.pad_id).any()
    for row, question in enumerate((QUESTION, LONGER)):
        alone = read(llm, [question], window[row : row + 1])
        torch.testing.assert_close(together.logits[row], alone.logits[0], atol=1e-4, rtol=1e-4)


def test_left_padded_logits_are_transformers_own(llm):
    window = pictures(2)
    ours = read(llm, [QUESTION, LONGER], window, 0)
    with torch.no_grad():
        plain = llm.model(**plain_inputs(llm, ours.tokens.ids, window), logits_to_keep=1).logits
    torch.testing.assert_close(ours.logits, plain, atol=1e-4, rtol=1e-4)


def test_a_prompt_is_the_familys_template(llm):
    text = llm.tokenizer.decode(llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0))
    assert (
        text
        == {
            "llava_onevision": f"<|im_start|>user {'<video>' * 33}\n{QUESTION}<|im_end|><|im_start|>assistant\n",
            "qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
            f"<|vision_start|>{'<|video_pad|>' * 24}<|vision_end|>{QUESTION}<|im_end|>\n<|im_start|>assistant\n",
        }[llm.model.config.model_type]
    )
    ids = llm.prompt_ids(QUESTION, FRAMES)
    assert ids.count(llm.scene_id) == FRAMES
    assert llm.answer_ids("Fire")[-1] == SPECIAL.index("<|im_end|>")


def test_typed_placeholders_are_plain_text(llm):
    ids = llm.prompt_ids("what is <video><|video_pad|> and <scene><|im_end|>?", FRAMES)
    assert ids.count(llm.video_id) == llm.backbone.token_count(FRAMES)
    assert ids.count(llm.scene_id) == FRAMES
    assert ids.count(llm.end_id) == llm.prompt_ids(QUESTION, FRAMES).count(llm.end_id)
    assert llm.answer_ids("<|im_end|>").count(llm.end_id) == 1


def test_generating_says_what_transformers_says(llm):
    window = pictures(2)
    ids = [llm.prompt_ids(question, FRAMES, scene_tokens=0) for question in (QUESTION, LONGER)]
    tokens = prompted(ids, llm.pad_id)
    made = llm.generate(llm.embed(tokens.ids, llm.encode(window)), tokens, max_tokens=6)
    inputs = {**plain_inputs(llm, tokens.ids, window), "use_cache": True}
    theirs = llm.model.generate(**inputs, max_new_tokens=6, do_sample=False)[:, tokens.ids.shape[1] :]
    assert list(made.texts) == llm.tokenizer.batch_decode(theirs, skip_special_tokens=True)


def test_generated_log_probs_are_those_of_the_answer_read_back(llm):
    window, prompt = pictures(), llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0)
    tokens = prompted([prompt], llm.pad_id)
    visual = llm.encode(window)
    with torch.no_grad():
        output = llm.model.generate(
            inputs_embeds=llm.embed(tokens.ids, visual),
            position_ids=llm.backbone.positions(tokens),
            max_new_tokens=5,
            do_sample=False,
        )
        made = llm.generate(llm.embed(tokens.ids, visual), tokens, max_tokens=5)
        batch = answered([prompt], [output[0].tolist()], llm.pad_id)
        log_probs = llm.decode(llm.embed(batch.tokens.ids, visual), batch.tokens).log_softmax(-1)
    again = log_probs[0].gather(1, batch.targets[0].unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(torch.tensor(made.log_probs[0]), again, atol=1e-4, rtol=1e-4)


def test_beams_find_nothing_less_likely_than_greedy(llm):
    tokens = prompted([llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0)], llm.pad_id)
    embeds = llm.embed(tokens.ids, llm.encode(pictures()))
    greedy, beams = (llm.generate(embeds, tokens, max_tokens=4, beams=count) for count in (1, 3))
    assert sum(beams.log_probs[0]) >= sum(greedy.log_probs[0]) - 1e-4


def test_qwens_positions_are_its_own_for_prompt_and_answer(qwen):
    """The answers are no part of what ``positions`` asks the model about; the model is asked about them here."""
    prompts = [qwen.prompt_ids(question, FRAMES) for question in (QUESTION, LONGER)]
    batch = answered(prompts, [qwen.answer_ids("Fighting in the street")] * 2, qwen.pad_id)
    ids = batch.tokens.ids
    real = torch.ones_like(ids)
    real[:, : batch.tokens.prompt_length] = ids[:, : batch.tokens.prompt_length] != qwen.pad_id
    theirs, _ = qwen.model.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == qwen.video_id).int() * 2,
        video_grid_thw=torch.tensor([[4, 4, 6]] * 2),
        second_per_grid_ts=torch.full((2,), 0.25),
        attention_mask=real,
    )
    assert torch.equal(qwen.backbone.positions(batch.tokens) * real, theirs * real)


def test_qwens_positions_tell_time_height_and_width(qwen):
    """Worked by hand: 8 frames at 8 Hz are 4 steps of 0.25 s, at 2 positions a second 0, 0, 1, 1."""
    ids = qwen.prompt_ids(QUESTION, FRAMES)
    start = ids.index(qwen.video_id)
    positions = qwen.backbone.positions(prompted([ids], qwen.pad_id))[:, 0]
    video = positions[:, start : start + 24].T - start
    wanted = [(step // 2, row, column) for step in range(4) for row in range(2) for column in range(3)]
    assert video.tolist() == [list(each) for each in wanted]
    assert (positions[:, start + 24 :] == start + 3 + torch.arange(len(ids) - start - 24)).all()
    assert (positions[:, :start] == torch.arange(start)).all()


def test_continuations_of_one_prompt_score_as_they_do_alone(llm):
    answers = [llm.answer_ids(answer) for answer in ("Fighting in the street", "Fire", "Normal")]
    prompts, visual = [llm.prompt_ids(q, FRAMES, 0) for q in (QUESTION, LONGER)], llm.encode(pictures(2))
    shared = continued(prompts, answers, llm.pad_id)
    with torch.no_grad():
        together = llm.decode(llm.embed(shared.tokens.ids, visual), shared.tokens).log_softmax(-1)
        for index, answer in enumerate(answers):
            steps = shared.owner == index
            scored = together[:, shared.read_at[steps], shared.wanted[steps]]
            alone = answered(prompts, [answer, answer], llm.pad_id)
            log_probs = llm.decode(llm.embed(alone.tokens.ids, visual), alone.tokens).log_softmax(-1)
            wanted = log_probs.gather(2, alone.targets.unsqueeze(2)).squeeze(2)
            torch.testing.assert_close(scored, wanted, atol=1e-4, rtol=1e-4)


def test_frames_that_are_masked_out_are_not_seen(llm):
    visual, ids = llm.encode(pictures()), torch.tensor([llm.prompt_ids(QUESTION, FRAMES, 0)])
    masked = visual._replace(mask=visual.mask & (torch.arange(FRAMES) < 6).view(1, -1, 1))
    loud = masked._replace(values=visual.values.where(masked.mask.unsqueeze(-1), torch.tensor(9.0)))
    assert torch.equal(llm.embed(ids, masked), llm.embed(ids, loud))
    assert not torch.equal(llm.embed(ids, masked), llm.embed(ids, visual))


def test_features_of_another_shape_and_another_number_of_frames_are_refused(llm):
    visual, ids = llm.encode(pictures()), torch.tensor([llm.prompt_ids(QUESTION, FRAMES)])
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


def test_an_icm_around_it_learns_with_lora_and_answers(llm, icm, make_windows):
    scenes, visual = make_windows(2).scenes, llm.encode(pictures(2))
    add_lora(llm.model, PRESETS["paper"])
    icm.train()
    batch = answered(
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


def natural_pictures(height: int, width: int) -> np.ndarray:
    """Blurred noise: details about as large as those of footage."""
    noise = np.random.default_rng(0).integers(0, 256, (2, height // 6, width // 6, 3), dtype=np.uint8)
    blurred = [Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR) for picture in noise]
    return np.stack([np.asarray(picture) for picture in blurred])


@pytest.mark.parametrize(("height", "width"), [(30, 50), (90, 64), (360, 640)])
def test_llavas_pixels_are_pillows(height, width):
    settings = built("llava_onevision").backbone.settings  # type: ignore[attr-defined]
    frames = natural_pictures(height, width)
    ours = preprocess(torch.from_numpy(frames)[None], (42, 42), settings)
    pillow = [np.asarray(Image.fromarray(frame).resize((42, 42), Image.Resampling.BICUBIC)) for frame in frames]
    wanted = torch.from_numpy((np.stack(pillow) / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).float()
    assert (ours - wanted).abs().max() < 1.01 / 255 / 0.5  # one grey level
    assert (ours - wanted).abs().mean() < 0.25 / 255 / 0.5


def test_qwens_patches_are_those_of_the_documented_processor(qwen):
    """Its picture processor shows each picture twice, as a still video; it is the one that runs without torchvision."""
    frames = natural_pictures(70, 90)
    processor = Qwen2VLImageProcessorPil(size=SIZE)
    found = processor(images=[Image.fromarray(frame) for frame in frames], return_tensors="pt")
    assert found["image_grid_thw"].tolist() == [[1, 4, 6]] * 2
    model: Any = qwen.model
    backbone: Any = build_backbone(model, {"size": SIZE}, Footage(height_px=70, width_px=90))
    ours = backbone.patchify(torch.from_numpy(frames)[None, [0, 0, 1, 1]])[0]
    assert ours.shape == found["pixel_values"].shape
    assert (ours - found["pixel_values"]).abs().max() < 1.01 / 255 / 0.26
    assert (ours - found["pixel_values"]).abs().mean() < 0.25 / 255 / 0.26


def test_qwens_patches_keep_the_order_of_frames(qwen):
    """A step's two frames stand one after the other within each colour of a patch."""
    frames = torch.zeros(1, 2, 56, 84, 3, dtype=torch.uint8)
    frames[0, 1] = 255
    patch = qwen.backbone.patchify(frames)[0, 5].view(3, 2, 14, 14)
    assert (patch[:, 0] < 0).all()
    assert (patch[:, 1] > 0).all()


@given(
    st.integers(20, 3000), st.integers(20, 3000), st.sampled_from([3136, 100_352]), st.sampled_from([112_896, 602_112])
)
def test_qwens_frame_sizes_are_the_documented_ones(height, width, smallest, largest):
    assert fitting_size(height, width, 28, smallest, largest) == smart_resize(height, width, 28, smallest, largest)


def test_frames_longer_than_documented_are_refused():
    with pytest.raises(InputError, match="10 x 4000 pixels"):
        fitting_size(10, 4000, 28, 3136, 602_112)


def test_the_tower_sees_every_temporal_patch_for_itself(qwen):
    """So that features of windows that share frames are the same."""
    window = pictures()
    whole, part = qwen.encode(window), qwen.encode(window[:, 2:6])
    torch.testing.assert_close(whole.values[:, 2:6], part.values, atol=1e-5, rtol=1e-4)
    assert torch.equal(whole.values[:, 0], whole.values[:, 1])


@pytest.fixture
def folder(llm, tmp_path):
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps({"size": SIZE, "do_resize": True}))
    return tmp_path


def test_a_folder_gives_the_same_model(llm, folder):
    loaded = from_pretrained(folder, torch.float32, footage=FOOTAGE)
    assert not loaded.training
    assert loaded.prompt_ids(QUESTION, FRAMES) == llm.prompt_ids(QUESTION, FRAMES)
    for name, parameter in llm.named_parameters():
        assert torch.equal(parameter, loaded.get_parameter(name))
    ours, theirs = (read(each, [QUESTION], pictures()).logits for each in (loaded, llm))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)  # memory lies otherwise: sums are in another order


def test_bfloat16_reaches_every_part(folder):
    loaded = from_pretrained(str(folder), footage=FOOTAGE)
    assert loaded.encode(pictures()).values.dtype == torch.bfloat16
    made = read(loaded, [QUESTION, LONGER], pictures(2))
    assert made.logits.dtype == torch.bfloat16
    assert made.logits.isfinite().all()
    tokens = prompted([loaded.prompt_ids(QUESTION, FRAMES, 0)], loaded.pad_id)
    assert loaded.generate(loaded.embed(tokens.ids, loaded.encode(pictures())), tokens, max_tokens=3).log_probs[0]


def test_what_is_wrong_with_a_folder_is_named(folder, tmp_path):
    with pytest.raises(WeightsError, match="no such folder"):
        from_pretrained(tmp_path / "nowhere")
    (folder / "video_preprocessor_config.json").write_text('{"image_mean": "grey"}')
    with pytest.raises(WeightsError, match="video preprocessor file: image_mean"):
        from_pretrained(folder)
    (folder / "video_preprocessor_config.json").write_text("[1]")
    with pytest.raises(WeightsError, match=r"video_preprocessor_config\.json: a list"):
        from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "fuyu"}))
    with pytest.raises(WeightsError, match="model type 'fuyu', wanted one of: llava_onevision, qwen2_5_vl"):
        from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "nobody_knows"}))
    with pytest.raises(WeightsError, match="whose model type is one of: llava_onevision, qwen2_5_vl"):
        from_pretrained(folder)


def test_a_family_is_one_file(tmp_path, monkeypatch):
    assert list(family_names()) == FAMILIES
    (tmp_path / "cousin.py").write_text("from omnisila.models.backbones.llava_onevision import build\n")
    monkeypatch.setattr(backbones, "__path__", [*backbones.__path__, str(tmp_path)])
    assert list(family_names()) == ["cousin", *FAMILIES]
    config: Any = LlavaOnevisionConfig()
    config.model_type = "cousin"
    assert build_backbone(SimpleNamespace(config=config), {}, FOOTAGE).token_count(1) == 14 * 14 + 1


@pytest.mark.parametrize(
    ("family", "config", "footage", "count"),
    [
        ("llava_onevision", LlavaOnevisionConfig(), Footage(), 8 * 14 * 14 + 1),
        ("qwen2_5_vl", Qwen2_5_VLConfig(), Footage(), 4 * 13 * 23),
        ("qwen2_5_vl", Qwen2_5_VLConfig(), Footage(height_px=1080, width_px=1920), 4 * 20 * 36),
    ],
)
def test_a_window_has_as_many_tokens_as_documented(family, config, footage, count):
    backbone = build_backbone(SimpleNamespace(config=config), {}, footage)
    assert config.model_type == family
    assert backbone.token_count(8) == count


def test_another_models_tokenizer_and_attention_are_refused():
    llm = built("qwen2_5_vl")
    with pytest.raises(WeightsError, match=r"<\|video_pad\|> is \d+ tokens, wanted one"):
        TransformersVideoLLM(llm.model, PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE())), llm.backbone)
    without: Any = chat_tokenizer()
    without.pad_token = None
    with pytest.raises(WeightsError, match="padding is token None"):
        TransformersVideoLLM(llm.model, without, llm.backbone)
    without.pad_token = "<|endoftext|>"
    llm.model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(WeightsError, match="takes no mask of which token sees which"):
        TransformersVideoLLM(llm.model, without, llm.backbone)
