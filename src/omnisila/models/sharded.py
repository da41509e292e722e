"""Tensors of which several processes hold a part each: put together, and parted again."""

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together in this process's main memory; all processes must ask."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()


def as_held(value: Tensor, like: Tensor) -> Tensor:
    """The part of a whole tensor that this process holds of one such as ``like``, where that lies."""
    value = value.to(like.device)
    return distribute_tensor(value, like.device_mesh, like.placements) if isinstance(like, DTensor) else value
