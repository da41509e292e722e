"""Loading models of transformers: where they are looked for, what is refused, and what a part of one may leave over."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, ViTModel

from omnisila.errors import WeightsError
from omnisila.weights.checkpoint_files import folder_digest, locate_checkpoint, locate_source, model_folder
from omnisila.weights.pretrained import load_pretrained, load_tokenizer, read_config, read_settings

SIZES: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(**SIZES, vocab_size=12)).save_pretrained(tmp_path / "owner" / "bert")
    return tmp_path / "owner" / "bert"


def test_all_of_a_model_or_a_part_of_it(folder: Path) -> None:
    whole = load_pretrained(BertForSequenceClassification, folder)
    assert not whole.training
    part = load_pretrained(BertModel, str(folder), torch.bfloat16, whole=False)
    assert torch.equal(part.pooler.dense.weight, whole.bert.pooler.dense.weight.bfloat16())
    with pytest.raises(WeightsError, match=r"not those of BertModel: 2 left over \(classifier\.bias, "):
        load_pretrained(BertModel, folder)
    with pytest.raises(WeightsError, match="a model of type 'bert', wanted 'vit'"):
        load_pretrained(ViTModel, folder)


def test_only_placing_weights_on_a_device_takes_accelerate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = load_pretrained(BertForSequenceClassification, folder, device="cpu")
    monkeypatch.setattr("omnisila.weights.pretrained.find_spec", lambda _: None)
    assert torch.equal(load_pretrained(type(placed), folder).classifier.weight, placed.classifier.weight)
    with pytest.raises(WeightsError, match=r'accelerate, which is missing\. pip install "omnisila\[llm\]"'):
        load_pretrained(BertForSequenceClassification, folder, device="cpu")


def test_a_hub_s_snapshot_is_a_folder_like_any_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[str]]] = []

    def snapshot_download(source: str, allow_patterns: list[str], ignore_patterns: list[str]) -> str:
        assert ignore_patterns == ["*/*.safetensors"]
        asked.append((source, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert read_config("someone/bert").model_type == "bert"
    assert load_pretrained(BertForSequenceClassification, "someone/bert").config.hidden_size == 8
    assert len(asked) == 1
    assert not any("bin" in pattern or "pt" in pattern for pattern in asked[0][1])


@pytest.mark.parametrize("source", ["no/such/folder", "nothing", "./nothing", "~/nothing", Path("owner/name")])
def test_what_is_no_folder_and_no_id_is_refused(source: str | Path) -> None:
    with pytest.raises(WeightsError, match=r"no such folder\. Give one with config\.json"):
        model_folder(source)


def test_paths_may_be_relative_to_the_models_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMNISILA_MODELS", raising=False)
    assert locate_source("owner/bert") == "owner/bert"
    with pytest.raises(WeightsError, match=r"pose\.pth: no such checkpoint, .*OMNISILA_MODELS is not set.*its page"):
        locate_checkpoint("pose.pth", "its page")
    monkeypatch.setenv("OMNISILA_MODELS", str(folder.parents[1]))
    assert locate_source("owner/bert") == str(folder)
    assert folder_digest(locate_source("owner/bert")) == folder_digest(str(folder))


def test_settings_and_tokenizers_that_cannot_be_read_are_named(folder: Path) -> None:
    path = folder / "settings.json"
    assert read_settings(path) == {}
    for content, said in (("{", "no JSON"), ("[1]", "a list, wanted an object")):
        path.write_text(content)
        with pytest.raises(WeightsError, match=rf"settings\.json: {said}"):
            read_settings(path)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="no tokenizer that can be read"):
        load_tokenizer(folder)
