"""Cross-validation folds that never part what was cut from the same footage, labels balanced as far as that allows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from omnisila.data.annotated import AnnotatedVideo

_TRIALS = 32  # groups are few and uneven: one greedy pass can strand a label


def footage_groups(clips: Sequence[AnnotatedVideo]) -> tuple[str, ...]:
    """For each clip the name of its group: clips linked by a chain of shared sources, over all data sets.

    A group is called by the alphabetically first of its sources, so the name does not depend on the clips' order.
    """
    # only here: commands that check what they are given import this file, and scipy takes long
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = sorted({source for clip in clips for source in clip.sources})
    number = {name: index for index, name in enumerate(names)}
    links = np.array(
        [(number[clip.sources[0]], number[source]) for clip in clips for source in clip.sources], dtype=np.int64
    ).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(names), len(names)))
    component = connected_components(graph, directed=False)[1]
    first = {int(component[index]): names[index] for index in reversed(range(len(names)))}
    return tuple(first[int(component[number[clip.sources[0]]])] for clip in clips)


def folds(clips: Sequence[AnnotatedVideo], count: int = 5, seed: int = 0) -> tuple[int, ...]:
    """For each clip the fold in which it is held out, 0 to ``count`` - 1.

    Clips of one group (``footage_groups``) share a fold. Each data set's labels are spread over the folds as evenly as
    its groups allow; a set with fewer groups than folds leaves some folds without it. The result depends on the clips
    and the seed alone, not on the clips' order.

    Raises:
        ValueError: fewer than two folds were asked for.
    """
    if count < 2:
        raise ValueError(f"{count} folds asked for. Ask for 2 or more: one is held out, the others train.")
    groups = footage_groups(clips)
    names = sorted(set(groups))
    strata = _strata(clips, groups, names)
    total = np.maximum(strata.sum(axis=0), 1.0)
    order = np.random.default_rng(seed)
    trials = [_assign_groups(strata / np.sqrt(total), count, order) for _ in range(_TRIALS)]
    fold_of = dict(zip(names, min(trials, key=lambda trial: trial[0])[1].tolist(), strict=True))
    return tuple(fold_of[group] for group in groups)


def _strata(
    clips: Sequence[AnnotatedVideo], groups: Sequence[str], names: Sequence[str]
) -> Float[np.ndarray, "groups strata"]:
    """How many clips of each data set and labelling a group holds."""
    number = {name: index for index, name in enumerate(names)}
    cells = [
        (number[group], (clip.set_name, *sorted(clip.labels.items())))
        for clip, group in zip(clips, groups, strict=True)
    ]
    columns = {kind: index for index, kind in enumerate(sorted({kind for _, kind in cells}))}
    counts = np.zeros((len(names), len(columns)))
    for row, kind in cells:
        counts[row, columns[kind]] += 1
    return counts


def _assign_groups(
    strata: Float[np.ndarray, "groups strata"], count: int, order: np.random.Generator
) -> tuple[float, Int[np.ndarray, "groups"]]:
    """Give each group, large ones first, to the fold where it disturbs the balance least; and the imbalance left."""
    wanted = strata.sum(axis=0) / count
    held = np.zeros((count, strata.shape[1]))
    fold_of = np.zeros(len(strata), dtype=np.int64)
    size = (strata**2).sum(axis=1) * order.uniform(0.7, 1.3, len(strata))
    for group in np.argsort(-size, kind="stable"):
        # the growth of sum (held - wanted)^2 when the group joins, up to what is the same for all folds
        cost = ((held - wanted) * strata[group]).sum(axis=1)
        fold = int(cost.argmin())
        held[fold] += strata[group]
        fold_of[group] = fold
    return float(((held - wanted) ** 2).sum()), fold_of
