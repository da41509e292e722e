"""The frozen base of every configuration and record."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Values that are checked once and never change: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def replace(self, **changes: Any) -> Self:
        """A validated copy with some fields changed; the way a recipe makes an ablation."""
        return type(self).model_validate({**dict(self), **changes})


class Config(Frozen):
    """Numbers and choices of one class, kept beside it; its ``build()`` is the only bridge to the class."""
