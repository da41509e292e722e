"""Tensors of which several processes hold a part each (``DTensor``): put together, and parted again."""

from typing import Any

from torch import Tensor


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together in this process's main memory; all processes must ask."""
    held: Any = tensor.detach()
    return (held.full_tensor() if hasattr(held, "full_tensor") else held).cpu()


def as_held(value: Tensor, like: Any) -> Tensor:
    """The part of a whole tensor that this process holds of one such as ``like``, where that lies."""
    value = value.to(like.device)
    if not hasattr(like, "device_mesh"):
        return value
    from torch.distributed.tensor import distribute_tensor  # half a second, which those who shard have spent

    return distribute_tensor(value, like.device_mesh, like.placements)
