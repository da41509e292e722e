"""Adapters on the language model alone: where they sit, what trains, and that files give them back."""

import json

import peft
import pytest
import torch

from omnisila.errors import TrainingError, WeightsError
from omnisila.models.lora import (
    PRESETS,
    LoRAConfig,
    adapter_files,
    adapter_parameters,
    add_lora,
    load_adapter,
    set_gradient_checkpointing,
)

SMALL = LoRAConfig(rank=2, alpha=8, dropout=0.0)
PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.arange(4, 20).unsqueeze(0), use_cache=False).logits


def stirred(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_parameters(model):
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


def test_presets_are_the_printed_numbers_and_the_released_ones():
    assert (PRESETS["paper"].rank, PRESETS["paper"].alpha, PRESETS["paper"].dropout) == (16, 64, 0.05)
    assert (PRESETS["code"].rank, PRESETS["code"].alpha, PRESETS["code"].dropout) == (64, 16, 0.05)


def test_no_module_of_a_tower_gets_an_adapter_though_names_agree(make_video_llava):
    model, _ = make_video_llava()
    assert any(name.endswith("video_tower.encoder.layers.0.self_attn.q_proj") for name, _ in model.named_modules())
    add_lora(model, SMALL)
    adapted = [name for name, module in model.named_modules() if isinstance(module, peft.tuners.lora.LoraLayer)]
    assert all(".language_model." in f".{name}" for name in adapted)
    assert not any("tower" in name or "projector" in name or "lm_head" in name for name in adapted)
    assert {name.rsplit(".")[-1] for name in adapted} == PROJECTIONS
    assert len(adapted) == 2 * len(PROJECTIONS)


def test_a_fresh_adapter_changes_nothing_and_only_adapters_train(make_video_llava):
    model, _ = make_video_llava()
    before = logits(model)
    add_lora(model, PRESETS["paper"])
    assert torch.equal(logits(model.eval()), before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)
    assert len(trained) == len(adapter_parameters(model))


def test_adapters_of_a_half_precision_model_stay_float32_and_learn(make_video_llava):
    model = make_video_llava()[0].bfloat16()
    add_lora(model, SMALL)
    assert {parameter.dtype for parameter in adapter_parameters(model)} == {torch.float32}
    ids = torch.arange(4, 20).unsqueeze(0)
    optimiser = torch.optim.AdamW(adapter_parameters(model), lr=1e-2)
    losses = []
    for _ in range(3):
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_gradient_checkpointing_changes_memory_not_gradients(make_video_llava):
    gradients = []
    for enabled in (False, True):
        model, _ = make_video_llava()
        add_lora(model, SMALL)
        stirred(model).train()
        set_gradient_checkpointing(model, enabled)
        assert model.is_activation_checkpointing is enabled
        embeds = torch.ones(1, 5, 24, requires_grad=True)
        model(inputs_embeds=embeds, use_cache=False).logits.sum().backward()
        gradients.append([embeds.grad, *(parameter.grad for parameter in adapter_parameters(model))])
        set_gradient_checkpointing(model, False)
        assert not model.is_activation_checkpointing
    for plain, saved in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, saved)


def save_adapter(model, folder):
    for name, content in adapter_files(model).items():
        (folder / name).write_bytes(content)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft asks for it
def test_a_saved_adapter_comes_back_here_and_in_peft(make_video_llava, tmp_path):
    model, _ = make_video_llava()
    add_lora(model, SMALL)
    wanted = logits(stirred(model))
    save_adapter(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    again, _ = make_video_llava()
    assert load_adapter(again, tmp_path) == SMALL
    assert torch.equal(logits(again), wanted)
    theirs = peft.PeftModel.from_pretrained(make_video_llava()[0], str(tmp_path))
    assert torch.equal(logits(theirs.eval()), wanted)


def test_an_adapter_of_another_model_and_damaged_files_are_named(make_video_llava, tmp_path):
    model, _ = make_video_llava()
    with pytest.raises(WeightsError, match="no adapters to save"):
        save_adapter(model, tmp_path)
    with pytest.raises(WeightsError, match=r"adapter_config\.json: No such file"):
        load_adapter(model, tmp_path)
    add_lora(model, SMALL)
    save_adapter(model, tmp_path)
    with pytest.raises(TrainingError, match="has adapters already"):
        load_adapter(model, tmp_path)
    with pytest.raises(WeightsError, match=r"14 missing \(model\.language_model\.layers\.2\..* and 9 more\)"):
        load_adapter(make_video_llava(num_hidden_layers=3)[0], tmp_path)
    with pytest.raises(WeightsError, match=r"lora_B\.weight is \(32, 2\), wanted \(48, 2\)"):
        load_adapter(make_video_llava(intermediate_size=48)[0], tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="damaged or cut short"):
        load_adapter(make_video_llava()[0], tmp_path)
    settings = tmp_path / "adapter_config.json"
    settings.write_text(json.dumps({"r": 0, "lora_alpha": 1, "lora_dropout": 0}))
    with pytest.raises(WeightsError, match="no settings of a LoRA adapter"):
        load_adapter(make_video_llava()[0], tmp_path)


def test_a_model_without_a_language_model_is_refused():
    with pytest.raises(TrainingError, match="Linear has no projections below language_model"):
        add_lora(torch.nn.Linear(2, 2), SMALL)
