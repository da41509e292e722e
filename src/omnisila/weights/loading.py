"""Tensors into a network, every one to its place: what is missing, left over or of another shape is named."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from omnisila.errors import WeightsError

Module = TypeVar("Module", bound=nn.Module)

COUNTER = "num_batches_tracked"  # batch normalisation counts steps in training; no output depends on it
NAMED = 5  # keys that a message names before it counts the rest


def load_into(
    module: Module,
    state: Mapping[str, Tensor],
    source: Path | str,
    renamed: Callable[[str], str | None] | None = None,
) -> Module:
    """Copy a state into a module, every tensor to its place and none left over; returns the module.

    Counters of batch normalisation's training steps may be missing or left over. Values keep the module's own type.

    Args:
        renamed: published key -> the module's key, or None for a tensor the module knowingly leaves out.

    Raises:
        WeightsError: keys are missing, left over or of another shape; the message names the first and counts the rest.
    """
    wanted = module.state_dict()
    fill(
        wanted,
        _rename_tensors(state, renamed, source),
        f"{source}: not the weights of {type(module).__name__}, which has {len(wanted)} tensors",
        "Give the checkpoint of that network, or build it with the sizes that the checkpoint was trained with.",
    )
    return module


def fill(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], fault: str, advice: str) -> None:
    """Copy stored tensors into a model's own, name by name.

    Args:
        fault: begins the message where names or shapes differ.
        advice: ends it.

    Raises:
        WeightsError: as ``load_into``.
    """
    both = sorted(wanted.keys() & found.keys())
    faults = {
        "missing": [key for key in wanted.keys() - found.keys() if not key.endswith(COUNTER)],
        "left over": [key for key in found.keys() - wanted.keys() if not key.endswith(COUNTER)],
        "of another shape": [
            f"{key} is {tuple(found[key].shape)}, wanted {tuple(wanted[key].shape)}"
            for key in both
            if found[key].shape != wanted[key].shape
        ],
    }
    check_names(faults, fault, advice)
    with torch.no_grad():
        for key in both:
            wanted[key].copy_(found[key])


def _rename_tensors(
    state: Mapping[str, Tensor], renamed: Callable[[str], str | None] | None, source: Path | str
) -> dict[str, Tensor]:
    if renamed is None:
        return dict(state)
    names = {key: name for key in state if (name := renamed(key)) is not None}
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise WeightsError(
            f"{source}: several of its tensors mean the same one of ours ({list_some(twice)}). "
            "Give the checkpoint of one network alone."
        )
    return {name: state[key] for key, name in names.items()}


def check_names(faults: Mapping[str, Iterable[str]], fault: str, advice: str) -> None:
    """Refuse weights whose names have faults.

    Raises:
        WeightsError: a fault has names; the message has the first of each and counts the rest.
    """
    named = {kind: sorted(names) for kind, names in faults.items()}
    if any(named.values()):
        said = "; ".join(f"{len(names)} {kind} ({list_some(names)})" for kind, names in named.items() if names)
        raise WeightsError(f"{fault}: {said}. {advice}")


def list_some(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
