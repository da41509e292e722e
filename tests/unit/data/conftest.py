"""A small data root in the real sets' form, drawn pictures and clips in place of footage."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

GROUPS = {"fight_surv": ("source_group", "split_group"), "shoplifting_mnnit": ("source_group",),
          "emotion_faces": ("source_group",), "misc_demo": ("source_group",)}  # fmt: skip


@pytest.fixture
def write_set(tmp_path: Path) -> Callable[..., Path]:
    """``write_set("fire_smoke", [("a.jpg", "FireSmoke", "video1"), ...])`` writes a set with its files; gives the root.

    ``extra`` adds columns with one text for all rows. Files are pictures of noise; only their existence matters.
    """

    def write(name: str, entries: Sequence[tuple[str, str, str]], **extra: str) -> Path:
        folder = tmp_path / name
        groups = GROUPS.get(name, ("group",))
        columns = ["file", "label", *groups, "licence", *extra]
        table: list[list[Any]] = [[file, label, *[group] * len(groups), "CC BY 4.0", *extra.values()]
                                  for file, label, group in entries]  # fmt: skip
        for number, (file, _, _) in enumerate(entries):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path, format="JPEG")
        with (folder / "manifest.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *table])
        return tmp_path

    return write
