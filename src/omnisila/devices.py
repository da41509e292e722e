"""Where networks compute."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def default_device() -> "torch.device":
    """A GPU where there is one, else the CPU."""
    import torch  # takes seconds, and who imports this module may only name a device

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
