"""Near-duplicate stills: frames of one shot that a collection's own groups do not join.

Two pictures are near-duplicates when their 24 x 24 colour thumbnails, mean removed, correlate above a limit. Chains of
them become one more source of their clips, so that a split cannot part them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import DataSetError

SIDE_PX = 24  # small enough that noise and compression are gone
CORRELATION = 0.95  # of stills that count as one


def with_near_duplicates(clips: Sequence[AnnotatedVideo], root: Path) -> tuple[AnnotatedVideo, ...]:
    """The clips, stills with a near-duplicate in their own set given one more source that they share.

    Args:
        clips: of any sets; moving clips pass unchanged.

    Raises:
        DataSetError: a still cannot be read.
    """
    result = list(clips)
    for set_name in sorted({clip.set_name for clip in clips if clip.is_still}):
        stills = [index for index, clip in enumerate(clips) if clip.is_still and clip.set_name == set_name]
        chains = find_chains(np.stack([_thumbnail(clips[index].file(root)) for index in stills]), CORRELATION)
        sizes = np.bincount(chains)
        first = {int(chain): clips[index].path for index, chain in reversed(list(zip(stills, chains, strict=True)))}
        for index, chain in zip(stills, chains, strict=True):
            if sizes[chain] > 1:
                clip = clips[index]
                result[index] = clip.replace(sources=(*clip.sources, f"{set_name}:like {first[int(chain)]}"))
    return tuple(result)


def find_chains(unit_vectors: Float[np.ndarray, "pictures width"], correlation: float) -> Int[np.ndarray, "pictures"]:
    """The number of each picture's chain: pictures linked by pairs whose scalar product exceeds the limit."""
    rows, columns = np.nonzero(np.triu(unit_vectors @ unit_vectors.T > correlation, 1))
    count = len(unit_vectors)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _thumbnail(path: Path) -> Float[np.ndarray, "width"]:
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read as a picture ({error}). Fetch the data set again.") from error
    values = np.asarray(small, dtype=np.float32).ravel()
    values = values - values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)
