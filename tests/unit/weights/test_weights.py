"""Embedded weights: whole, described, refused when changed."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from omnisila import weights
from omnisila.errors import WeightsError
from omnisila.weights.embedded import load
from tools.convert_weights import NETWORKS, notice


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the smallest network's file, which the package now reads instead of its own."""
    shutil.copy(weights.FOLDER / "expression.safetensors", tmp_path)
    weights.manifest()  # known before the folder is another
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    return tmp_path / "expression.safetensors"


def test_weights_come_back_in_float32() -> None:
    state = load("expression")
    assert state["classifier.weight"].shape == (7, 256)
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_every_shipped_file_is_described_and_right() -> None:
    records = weights.verify()
    assert set(records) == set(NETWORKS)
    assert {record.file for record in records.values()} == {path.name for path in weights.FOLDER.glob("*.safetensors")}


def test_a_changed_file_is_refused_with_both_hashes(copied: Path) -> None:
    content = bytearray(copied.read_bytes())
    content[-1] ^= 1
    copied.write_bytes(content)
    wanted = weights.manifest().networks["expression"].sha256
    with pytest.raises(WeightsError) as refused:
        load("expression")
    for part in (str(copied), hashlib.sha256(content).hexdigest(), wanted, "Install omnisila again"):
        assert part in str(refused.value)


def test_a_missing_file_is_named(copied: Path) -> None:
    copied.unlink()
    with pytest.raises(WeightsError, match=r"expression\.safetensors: No such file"):
        load("expression")


def test_an_unknown_network_lists_those_there_are() -> None:
    with pytest.raises(WeightsError, match=r"'resnet' does not exist.*mtcnn"):
        load("resnet")


def test_notice_says_what_the_manifest_says() -> None:
    text = (weights.FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert text == notice()
    for record in weights.manifest().networks.values():
        for part in (record.file, record.package, record.licence, record.copyright, *record.sources.values()):
            assert part in text


def test_shipped_weights_stay_under_60_megabytes() -> None:
    assert sum(path.stat().st_size for path in weights.FOLDER.rglob("*") if path.is_file()) < 60e6
