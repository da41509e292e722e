"""Folds: a group never stands on both sides, labels are balanced, and near-duplicates count as one footage."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.duplicates import with_near_duplicates
from omnisila.data.clips.folds import folds, footage_groups


def clip(name: str, label: str = "Normal", sources: tuple[str, ...] = ("s",), set_name: str = "set") -> AnnotatedVideo:
    return AnnotatedVideo(
        id=name,
        set_name=set_name,
        path=name,
        labels={"implicit": label},
        throughout=True,
        sources=sources,
        is_still=True,
    )


clip_lists = st.lists(
    st.tuples(
        st.sampled_from(["Normal", "Fire", "Fighting"]),
        st.lists(st.sampled_from([f"s{i}" for i in range(12)]), min_size=1, max_size=2, unique=True),
    ),
    min_size=1,
    max_size=40,
).map(lambda rows: [clip(f"{i}.jpg", label, tuple(sources)) for i, (label, sources) in enumerate(rows)])


@given(clip_lists, st.integers(2, 6), st.integers(0, 3))
def test_no_footage_stands_on_both_sides(clips: list[AnnotatedVideo], count: int, seed: int):
    sides: dict[str, set[int]] = defaultdict(set)
    for one, fold in zip(clips, folds(clips, count, seed), strict=True):
        assert 0 <= fold < count
        for source in one.sources:
            sides[source].add(fold)
    assert all(len(side) == 1 for side in sides.values())


@given(clip_lists, st.randoms())
def test_the_order_of_clips_does_not_matter(clips: list[AnnotatedVideo], random):
    fold_of = dict(zip((one.path for one in clips), folds(clips), strict=True))
    shuffled = random.sample(clips, len(clips))
    assert fold_of == dict(zip((one.path for one in shuffled), folds(shuffled), strict=True))


def test_labels_are_spread_evenly():
    clips = [clip(f"{i}", "Fire" if i % 3 else "Normal", (f"s{i}",)) for i in range(60)]
    counts = Counter((one.labels["implicit"], fold) for one, fold in zip(clips, folds(clips, 5), strict=True))
    assert {counts["Fire", fold] for fold in range(5)} == {8}
    assert {counts["Normal", fold] for fold in range(5)} == {4}


def test_a_chain_of_shared_sources_is_one_group():
    clips = [clip("1", sources=("a", "b")), clip("2", sources=("b", "c"), set_name="other"), clip("3", sources=("c",)),
             clip("4", sources=("d",))]  # fmt: skip
    assert footage_groups(clips) == ("a", "a", "a", "d")


def test_one_fold_is_refused():
    with pytest.raises(ValueError, match="Ask for 2 or more"):
        folds([clip("1")], count=1)


def test_near_duplicates_share_a_source(tmp_path: Path):
    noise = np.random.default_rng(0)
    scene = noise.integers(0, 255, (24, 24, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    pictures = {
        "a.png": scene,
        "b.png": (scene * 0.8 + 20 + noise.normal(0, 8, scene.shape)).clip(0, 255).astype(np.uint8),
        "c.png": noise.integers(0, 255, (24, 24, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1),
    }
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / name)
    clips = [clip(name, sources=(name,)) for name in pictures]
    first, second, third = footage_groups(with_near_duplicates(clips, tmp_path))
    assert first == second != third
