"""Published checkpoints: every usual form is read, every bad one named, nothing in them is run, no key is lost."""

import argparse
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from omnisila.errors import OutputError, WeightsError
from omnisila.weights.loading import load_into
from omnisila.weights.official import convert, read_state, without_prefix

RAN: list[str] = []
STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([0.5, -0.5])}


class RunsCode:
    """What a hostile pickle holds: a call that happens while it is read."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return RAN.append, ("ran",)


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor] = STATE) -> None:
    assert found.keys() == wanted.keys()
    for key, tensor in wanted.items():
        torch.testing.assert_close(found[key], tensor, rtol=0.0, atol=0.0)


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in STATE.items()}


@pytest.mark.parametrize("suffix", ["pth", "pt", "bin", "pkl", "safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_plain_state_is_read_whatever_its_name(tmp_path: Path, suffix: str, zipped: bool) -> None:
    path = tmp_path / f"net.{suffix}"
    torch.save(OrderedDict(STATE), path, _use_new_zipfile_serialization=zipped)
    assert_same(read_state(path))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_safetensors_are_known_by_their_content(tmp_path: Path, suffix: str) -> None:
    save_file(STATE, tmp_path / f"net.{suffix}")
    assert_same(read_state(tmp_path / f"net.{suffix}"))


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"state": {}}, "args": argparse.Namespace(lr=1e-4, backbone="resnet50")},
        {"model": {"state_dict": STATE}},
        {"state_dict": prefixed("module."), "best": 0.67},
        prefixed("module._orig_mod."),
        {**STATE, "epoch": 7},
    ],
)
def test_wrappers_of_training_scripts_are_taken_off(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "net.pth")
    assert_same(read_state(tmp_path / "net.pth"))


def test_only_a_prefix_of_all_keys_is_taken_off() -> None:
    assert_same(without_prefix(prefixed("1."), "1."))
    mixed = {**prefixed("1."), "head": torch.zeros(1)}
    assert_same(without_prefix(mixed, "1."), mixed)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_joined_from_folder_or_index(tmp_path: Path, suffix: str) -> None:
    places = {}
    for number, (key, tensor) in enumerate(STATE.items()):
        name = f"part-{number}.{suffix}"
        places[key] = name
        save_file({key: tensor}, tmp_path / name) if suffix == "safetensors" else torch.save(
            {key: tensor}, tmp_path / name
        )
    index = tmp_path / f"part.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same(read_state(tmp_path))
    assert_same(read_state(index))


def test_a_folder_gives_safetensors_before_pickles(tmp_path: Path) -> None:
    torch.save({"old": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    save_file(STATE, tmp_path / "model.safetensors")
    assert_same(read_state(tmp_path))


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ('{"weight_map": {"a": "1.bin", "b": "2.bin"}}', r"2 of its 2 files are not beside it \(1\.bin, 2\.bin\)"),
        ('{"weight_map": {"a": "../1.bin"}}', r"names files elsewhere \(\.\./1\.bin\)"),
        ('{"weight_map": ["a"]}', "weight_map is not tensor -> file"),
        ("{}", "no index of shards"),
        ("no JSON", "no index of shards"),
    ],
)
def test_a_bad_index_is_refused(tmp_path: Path, index: str, said: str) -> None:
    (tmp_path / "m.bin.index.json").write_text(index)
    with pytest.raises(WeightsError, match=said):
        read_state(tmp_path)


def test_a_shard_without_a_promised_tensor_is_named(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "1.safetensors")
    (tmp_path / "m.index.json").write_text('{"weight_map": {"a": "1.safetensors", "b": "1.safetensors"}}')
    with pytest.raises(WeightsError, match=r"1\.safetensors: lacks 1 tensors .*\(b\)"):
        read_state(tmp_path / "m.index.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"\n<!DOCTYPE html><html><title>Quota exceeded</title>", "a web page, not weights"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 115000000\n",
            "pointer for 115,000,000 bytes",
        ),
        (b'{"error": "not found"}', "a text that begins '{\"error"),
        (bytes(range(200, 255)), "begins with the bytes c8 c9"),
        (b"\x80\x02" + bytes(range(100)), "cut short or damaged at 102 bytes"),
        (b"\x80\x04\x95\x04" + bytes(7) + b"K\x01.", r"cut short or damaged .*Unsupported operand 149"),
        (b"PK\x03\x04" + bytes(100), "cut short or damaged at 104 bytes"),
        (b"\x08\0\0\0\0\0\0\0{       ", "safetensors cut short or damaged at 16 bytes"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "pose.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said) as refused:
        read_state(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_a_cut_off_checkpoint_is_named(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "net.bin"
    state = {"weight": torch.randn(50, 50)}
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match=r"net\.bin: (safetensors )?cut short or damaged at [\d,]+ bytes") as refused:
        read_state(path)
    assert "Download it again" in str(refused.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "net.pth"
    torch.save({"state_dict": STATE, "callback": RunsCode()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"runs code to be read \(.+\).*not run.*safetensors"):
        read_state(path)
    assert RAN == []


def test_a_whole_pickled_network_names_its_class(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"runs code to be read \(torch\.nn\.modules\.linear\.Linear\)"):
        read_state(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("content", "said"),
    [({"epoch": 3, "loss": 0.5}, "no weights but the keys epoch, loss"), ([1, 2], "no weights but list")],
)
def test_a_pickle_without_tensors_says_what_it_holds(tmp_path: Path, content: Any, said: str) -> None:
    torch.save(content, tmp_path / "log.pkl")
    with pytest.raises(WeightsError, match=said):
        read_state(tmp_path / "log.pkl")


def test_missing_files_empty_and_crowded_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no\.pth: No such file"):
        read_state(tmp_path / "no.pth")
    with pytest.raises(WeightsError, match="no checkpoint in this folder"):
        read_state(tmp_path)
    for name in "ab":
        save_file(STATE, tmp_path / f"{name}.safetensors")
    with pytest.raises(WeightsError, match=r"2 checkpoints \(a\.safetensors, b\.safetensors\) and no index\.json"):
        read_state(tmp_path)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_a_state_fills_its_network() -> None:
    trained, fresh = network(), network()
    half = {key: tensor.half() for key, tensor in trained.state_dict().items() if "num_batches" not in key}
    assert load_into(fresh, half, "net.pth") is fresh
    assert fresh[0].weight.dtype == torch.float32
    torch.testing.assert_close(fresh[0].weight, trained[0].weight.half().float())


def test_published_names_are_mapped_and_parts_left_out_knowingly() -> None:
    trained, fresh = network(), network()
    state = {f"body.{key}": tensor for key, tensor in trained.state_dict().items()} | {"head.weight": torch.zeros(9)}
    load_into(fresh, state, "net.pth", lambda key: None if key.startswith("head") else key.removeprefix("body."))
    torch.testing.assert_close(fresh[0].weight, trained[0].weight)


def test_two_published_tensors_for_one_place_are_refused() -> None:
    state = {f"{part}.{key}": tensor for part in "ab" for key, tensor in network().state_dict().items()}
    with pytest.raises(WeightsError, match=r"net\.pth: several of its tensors mean the same one of ours \(0\.weight"):
        load_into(network(), state, "net.pth", lambda key: key[2:])


def test_every_fault_of_a_state_is_named_and_counted() -> None:
    module = network()
    state = {"0.weight": torch.zeros(2, 4), **{f"extra{n}": torch.zeros(1) for n in range(7)}}
    before = module[0].weight.detach().clone()
    with pytest.raises(WeightsError) as refused:
        load_into(module, state, "net.pth")
    said = str(refused.value)
    for part in (
        "net.pth: not the weights of Sequential", "5 missing (0.bias, 1.bias, 1.running_mean, 1.running_var, 1.weight)",
        "7 left over (extra0, extra1, extra2, extra3, extra4 and 2 more)",
        "1 of another shape (0.weight is (2, 4), wanted (2, 3))", "Give the checkpoint of that network",
    ):  # fmt: skip
        assert part in said
    torch.testing.assert_close(module[0].weight, before)


def test_a_checkpoint_is_converted_once(tmp_path: Path) -> None:
    source = tmp_path / "net.pth"
    shared = torch.arange(6.0).reshape(2, 3)
    torch.save({"state_dict": {"a": shared, "tied": shared, "turned": shared.mT}}, source)
    out = convert(source)
    assert out == tmp_path / "net.safetensors"
    assert_same(read_state(out), {"a": shared, "tied": shared, "turned": shared.mT})
    with safetensors.safe_open(out, "pt") as file:
        assert file.metadata()["source"] == "net.pth"
        assert file.metadata()["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    written = out.stat().st_mtime_ns, out.stat().st_ino
    convert(source)
    assert (out.stat().st_mtime_ns, out.stat().st_ino) == written
    torch.save(STATE, source)
    assert_same(read_state(convert(source)))


def test_shards_become_one_file(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "1.safetensors")
    (tmp_path / "m.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict.fromkeys(STATE, "1.safetensors")})
    )
    assert_same(read_state(convert(tmp_path, tmp_path / "out" / "joined.safetensors")))


def test_nothing_is_written_from_a_bad_source_or_over_itself(tmp_path: Path) -> None:
    source = tmp_path / "net.pth"
    source.write_bytes(b"")
    with pytest.raises(WeightsError, match="empty"):
        convert(source)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]
    save_file(STATE, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match="written over itself"):
        convert(tmp_path / "net.safetensors")
    with pytest.raises(OutputError, match="A part of the path is a file"):
        convert(tmp_path / "net.safetensors", source / "out.safetensors")


def test_weights_beside_a_figure_of_merit_and_under_two_prefixes(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    weights = {"_orig_mod.module.a": torch.ones(2), "_orig_mod.module.b": torch.zeros(1)}
    torch.save({"state_dict": weights, "best_acc1": torch.tensor(0.8), "epoch": 3}, path)
    assert read_state(path).keys() == {"a", "b"}
