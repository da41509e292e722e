"""Video-LLaVA behind the project's interface: transformers' own numbers, scene tokens among them, an ICM around it."""

import json
import re

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig

from omnisila.errors import InputError, WeightsError
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.likelihood import answer_likelihood, language_loss
from omnisila.models.lora import PRESETS, adapter_parameters, add_lora, set_gradient_checkpointing
from omnisila.models.pretrained_llm import from_pretrained
from omnisila.models.quantised import quantisation
from omnisila.models.sbm import router_balance_loss
from omnisila.models.tokens import batch_answers, batch_prompts, splice
from omnisila.models.video_llm import VideoLLM

FRAMES = 8
QUESTION = "Which event?"


def pictures(batch=1, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, FRAMES, 40, 30, 3), dtype=torch.uint8, generator=random)


@pytest.fixture
def parts(make_llava):
    llm = make_llava()
    return llm.model, llm.backbone.clip, llm


@pytest.fixture
def icm(parts):
    expert = ExpertConfig(width=16, num_layers=2, num_heads=2, feedforward_ratio=2)
    features = {"face": 5, "action": 6, "relation": 7, "background": 8}
    return ICMConfig(features=features, expert=expert, iec=IECConfig(centres=4)).build(parts[2])


def test_it_is_a_video_llm_and_scenes_need_no_row_of_its_table(parts):
    model, _, llm = parts
    assert isinstance(llm, VideoLLM)
    assert model.get_input_embeddings().weight.shape[0] == llm.scene_id == 384


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("questions", [[QUESTION], [QUESTION, "Where is the man who runs away?"]])
def test_without_scene_tokens_logits_are_transformers_own(make_llava, make_video_llava, attention, questions):
    model, tokenizer = make_video_llava()
    model.set_attn_implementation(attention)
    llm = make_llava(model, tokenizer)
    tower = llm.backbone.clip
    frames = pictures(len(questions))
    tokens = batch_prompts([llm.prompt_ids(question, FRAMES, scene_tokens=0) for question in questions], llm.pad_id)
    pixels = torch.stack([tower.preprocessing.pixels(window) for window in frames])
    with torch.no_grad():
        ours = llm.decode(llm.embed(tokens.ids, tower.encode(frames)), tokens)
        theirs = model(
            input_ids=tokens.ids,
            pixel_values_videos=pixels,
            attention_mask=(tokens.ids != llm.pad_id).long(),
            position_ids=tokens.positions,
            logits_to_keep=1,
            use_cache=False,
        ).logits
    assert torch.equal(ours, theirs)


def test_a_prompt_is_the_documented_template_as_the_processor_reads_it(parts):
    llm = parts[2]
    text = f"USER: {'<video>' * FRAMES * llm.backbone.patches}\n{QUESTION} ASSISTANT:"
    assert llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0) == llm.tokenizer(text).input_ids
    ids, last = llm.prompt_ids(QUESTION, FRAMES), FRAMES * llm.backbone.patches
    behind = [place for place, token in enumerate(ids) if token == llm.video_id][last - 1] + 1
    assert ids[behind : behind + FRAMES] == [llm.scene_id] * FRAMES
    assert ids[:behind] + ids[behind + FRAMES :] == llm.tokenizer(text).input_ids


def test_an_answer_continues_the_prompt_as_one_text(parts):
    llm = parts[2]
    whole = llm.tokenizer(f"USER: <video>\n{QUESTION} ASSISTANT: Fighting at 3").input_ids
    ids = llm.answer_ids("Fighting at 3")
    assert whole[-len(ids) + 1 :] == ids[:-1]
    assert ids[-1] == llm.end_id == 2


def test_a_typed_placeholder_is_plain_text(parts):
    llm = parts[2]
    ids = llm.prompt_ids("what is <video> and <scene></s>?", FRAMES)
    assert ids.count(llm.video_id) == FRAMES * llm.backbone.patches
    assert ids.count(llm.scene_id) == FRAMES
    assert llm.end_id not in ids
    assert llm.answer_ids("</s><video>").count(llm.end_id) == 1


def test_nothing_is_cut_to_fit(parts):
    llm = parts[2]
    with pytest.raises(InputError, match=r"a prompt of \d+ tokens \(1000 visual, 200 scene\), the model reads 512"):
        llm.prompt_ids(QUESTION, 200)
    tokens = batch_prompts([llm.prompt_ids(QUESTION, 90, scene_tokens=0)], llm.pad_id)
    embeds = torch.zeros(*tokens.ids.shape, llm.width)
    with pytest.raises(InputError, match=r"prompt and answer of \d+ tokens, the model reads 512"):
        llm.generate(embeds, tokens, max_tokens=100)


def test_all_2056_visual_tokens_of_the_published_size_are_kept_or_refused(make_llava, make_video_llava):
    model, tokenizer = make_video_llava(max_position_embeddings=2048)
    model.config.vision_config.image_size = 224
    with pytest.raises(InputError, match=r"\(2056 visual, 8 scene\), the model reads 2048"):
        make_llava(model, tokenizer).prompt_ids(QUESTION, FRAMES)
    model.config.text_config.max_position_embeddings = 4096
    llm = make_llava(model, tokenizer)
    assert llm.prompt_ids(QUESTION, FRAMES).count(llm.video_id) == 2056


def test_features_of_another_tower_and_another_number_of_frames_are_refused(parts):
    _, tower, llm = parts
    visual, ids = tower.encode(pictures()), torch.tensor([llm.prompt_ids(QUESTION, 7)])
    with pytest.raises(InputError, match="35 placeholders of token"):
        llm.embed(ids, visual)
    with pytest.raises(InputError, match="visual features of 5 patches x 9, wanted 5 x 16"):
        llm.embed(ids, visual._replace(values=visual.values[..., :9]))


def test_generating_without_scenes_says_what_transformers_says(parts):
    model, tower, llm = parts
    ids = llm.prompt_ids(QUESTION, FRAMES, scene_tokens=0)
    tokens, frames = batch_prompts([ids], llm.pad_id), pictures()
    made = llm.generate(llm.embed(tokens.ids, tower.encode(frames)), tokens, max_tokens=6)
    pixels = tower.preprocessing.pixels(frames[0]).unsqueeze(0)
    theirs = model.generate(
        input_ids=tokens.ids, attention_mask=torch.ones_like(tokens.ids), pixel_values_videos=pixels,
        max_new_tokens=6, do_sample=False, pad_token_id=llm.pad_id,
    )  # fmt: skip
    assert made.texts[0] == llm.tokenizer.decode(theirs[0, len(ids) :], skip_special_tokens=True).removeprefix(" ")
    assert len(made.log_probs[0]) <= 6


@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_icm_around_it_learns_a_step_and_answers(icm, parts, make_windows, checkpointing):
    model, tower, llm, scenes = *parts, make_windows(2).scenes
    visual = tower.encode(pictures(2))
    add_lora(model, PRESETS["paper"])
    set_gradient_checkpointing(model, checkpointing)
    icm.train()
    batch = batch_answers(
        [llm.prompt_ids(QUESTION, FRAMES), llm.prompt_ids("Say which event it is.", FRAMES)],
        [llm.answer_ids("Fighting"), llm.answer_ids("Normal")],
        llm.pad_id,
    )
    optimiser = torch.optim.AdamW([p for p in icm.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(3):
        output = icm(scenes, visual, batch.tokens)
        balance = router_balance_loss(output.perception.probabilities, icm.feature_widths)
        loss = language_loss(output.logits, batch.targets) + balance
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in icm.projector.parameters())
        assert all(p.grad is not None for p in adapter_parameters(model))
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    icm.eval()
    assert len(icm.generate(scenes, visual, [QUESTION] * 2, max_tokens=4).texts) == 2


def test_habits_of_a_checkpoint_do_not_change_the_likeliest_answer(make_llava, make_video_llava, parts):
    model, tokenizer = make_video_llava()
    model.generation_config = GenerationConfig(repetition_penalty=50.0, max_length=3, no_repeat_ngram_size=1)
    _, tower, plain = parts
    tokens, visual = batch_prompts([plain.prompt_ids(QUESTION, FRAMES)], plain.pad_id), tower.encode(pictures())
    for llm in (plain, make_llava(model, tokenizer)):
        made = llm.generate(llm.embed(tokens.ids, visual), tokens, max_tokens=8, beams=2)
        assert made == plain.generate(plain.embed(tokens.ids, visual), tokens, max_tokens=8, beams=2)


def test_labels_behind_one_prompt_score_as_they_do_alone(icm, parts, make_windows):
    tower, llm, scenes = parts[1], parts[2], make_windows(1).scenes
    visual, labels = tower.encode(pictures()), ["Fighting", "Fire", "Normal"]
    with torch.no_grad():
        shared = answer_likelihood(icm, scenes, visual, [QUESTION], labels).log_probs[0]
        alone = []
        for label in labels:
            batch = batch_answers([llm.prompt_ids(QUESTION, FRAMES)], [llm.answer_ids(label)], llm.pad_id)
            log_probs = icm(scenes, visual, batch.tokens).logits.log_softmax(-1)
            alone.append(log_probs[0].gather(1, batch.targets[0].unsqueeze(1)).sum())
    torch.testing.assert_close(shared, torch.stack(alone), atol=1e-4, rtol=1e-4)


def test_frames_outside_the_video_get_zero_visual_tokens(parts):
    _, tower, llm = parts
    visual, ids = tower.encode(pictures()), torch.tensor([llm.prompt_ids(QUESTION, FRAMES)])
    visual.mask[0, 5:] = False
    visual_tokens = llm.embed(ids, visual)[ids == llm.video_id].unflatten(0, (FRAMES, -1))
    assert (visual_tokens[5:] == 0).all()
    assert (visual_tokens[:5] != 0).any(-1).all()


def test_scene_tokens_are_read(parts):
    _, tower, llm = parts
    tokens = batch_prompts([llm.prompt_ids(QUESTION, FRAMES)], llm.pad_id)
    embeds = llm.embed(tokens.ids, tower.encode(pictures()))
    with torch.no_grad():
        logits = [
            llm.decode(splice(embeds, tokens.ids, llm.scene_id, torch.full((1, FRAMES, llm.width), value)), tokens)
            for value in (0.0, 1.0)
        ]
    assert not torch.allclose(*logits)


@pytest.fixture
def folder(tmp_path, make_video_llava):
    model, tokenizer = make_video_llava()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_gives_the_same_model_without_an_image_tower(folder, parts):
    llm = from_pretrained(folder, dtype=torch.float32)
    tower = llm.backbone.clip
    assert not any("image_tower" in name for name, _ in llm.named_parameters())
    _, same_tower, same = parts
    tokens = batch_prompts([same.prompt_ids(QUESTION, FRAMES)], same.pad_id)
    assert llm.prompt_ids(QUESTION, FRAMES) == same.prompt_ids(QUESTION, FRAMES)
    assert llm.answer_ids("Fire") == same.answer_ids("Fire")
    with torch.no_grad():
        ours = llm.decode(llm.embed(tokens.ids, tower.encode(pictures())), tokens)
        theirs = same.decode(same.embed(tokens.ids, same_tower.encode(pictures())), tokens)
    assert torch.equal(ours, theirs)


def test_half_precision_reaches_every_part(folder):
    llm = from_pretrained(folder)
    visual = llm.backbone.encode(pictures())
    assert visual.values.dtype == torch.bfloat16
    tokens = batch_prompts([llm.prompt_ids(QUESTION, FRAMES)], llm.pad_id)
    assert llm.decode(llm.embed(tokens.ids, visual), tokens).dtype == torch.bfloat16


def test_what_is_wrong_with_a_folder_is_named(folder, tmp_path):
    with pytest.raises(WeightsError, match="no such folder"):
        from_pretrained(tmp_path / "nowhere")
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1000])
    with pytest.raises(WeightsError, match=r"model\.safetensors: damaged or cut short"):
        from_pretrained(folder)
    weights.unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors: missing"):
        from_pretrained(folder)
    weights.write_bytes(content)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(WeightsError, match=r"model type 'llama', wanted one of: .*video_llava"):
        from_pretrained(folder)


def test_a_checkpoint_of_an_older_version_and_one_in_shards_load(folder, parts):
    state = load_file(folder / "model.safetensors")
    state["video_tower.vision_model.embeddings.position_ids"] = torch.arange(5).unsqueeze(0)
    names = {key: f"model-0000{index % 2 + 1}-of-00002.safetensors" for index, key in enumerate(sorted(state))}
    for name in set(names.values()):
        save_file({key: state[key] for key in state if names[key] == name}, folder / name, {"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    llm = from_pretrained(folder, torch.float32)
    projector = parts[2].model.model.multi_modal_projector.linear_1.weight
    assert torch.equal(llm.model.model.multi_modal_projector.linear_1.weight, projector)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors: missing"):
        from_pretrained(folder)
    index.write_text("{}")
    with pytest.raises(WeightsError, match="no index of weights"):
        from_pretrained(folder)


def test_a_checkpoint_with_foreign_tensors_is_refused(folder):
    state = load_file(folder / "model.safetensors")
    save_file(
        state | {"language_model.model.extra.weight": torch.ones(1)}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(WeightsError, match=r"left over .*extra\.weight"):
        from_pretrained(folder)


def test_weights_of_another_width_or_depth_are_named(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"missing \(model\.language_model\.layers\.2"):
        from_pretrained(folder)
    config["text_config"] |= {"num_hidden_layers": 2, "intermediate_size": 48}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        from_pretrained(folder)


def test_a_missing_extra_is_named(monkeypatch, folder):
    monkeypatch.setattr("omnisila.weights.pretrained.find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r'accelerate, which is missing\. pip install "omnisila\[llm\]"'):
        from_pretrained(folder)


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="nobody/nothing: cannot be fetched from the hub"):
        from_pretrained("nobody/nothing")


def test_a_tokenizer_of_another_model_is_refused(make_llava, make_video_llava):
    model, tokenizer = make_video_llava()
    tokenizer.add_tokens([f"<{index}>" for index in range(200)])
    with pytest.raises(WeightsError, match="wanted at most 384"):
        make_llava(model, tokenizer)


@pytest.mark.parametrize("bits", [4, 8])
def test_fewer_bits_need_their_extra_and_spare_what_is_no_language_layer(monkeypatch, bits):
    monkeypatch.setattr("omnisila.models.quantised.find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r'pip install "omnisila\[quantise\]"'):
        quantisation(bits, torch.bfloat16)
    monkeypatch.setattr("omnisila.models.quantised.find_spec", lambda _: object())
    config = quantisation(bits, torch.bfloat16)
    assert (config.load_in_4bit, config.load_in_8bit) == (bits == 4, bits == 8)
    spared = "|".join(config.llm_int8_skip_modules)
    for name in ("lm_head", "model.multi_modal_projector", "model.video_tower"):
        assert re.fullmatch(spared, name)
    assert not re.fullmatch(spared, "model.language_model.layers.0.mlp.up_proj")
