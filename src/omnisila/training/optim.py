"""Optimisation: AdamW with a cosine schedule and warm-up, gradients clipped, and a moving average of the weights.

Source: Omni-SILA 4.3 (AdamW, cosine, warm-up 0.03); the moving average is ours: small data makes single steps noisy.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.models.sharded import as_held, whole


class OptimConfig(Config):
    """How weights change.

    ``ema_decay`` 0 keeps no average; otherwise the average grows in at the start: after n steps its decay is at most
    (1 + n) / (10 + n).
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_frac: float = 0.03  # Omni-SILA 4.3
    max_gradient_norm: float = 1.0
    ema_decay: float = 0.99
    betas: tuple[float, float] = (0.9, 0.98)

    def build(self, module: nn.Module, steps: int) -> "Optimisation":
        return Optimisation(self, module, steps)


def cosine_with_warmup(step: int, steps: int, warmup_frac: float) -> float:
    """The factor on the learning rate at a step: a straight rise, then half a cosine down to 0 after the last step."""
    warmup = max(round(warmup_frac * steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


class Optimisation:
    """One module's optimiser, schedule and average, together so that they are stepped and stored together.

    Biases, norms and other vectors are not decayed.

    Args:
        module: what is trained; parameters without gradient stay as they are.
    """

    def __init__(self, config: OptimConfig, module: nn.Module, steps: int) -> None:
        self.config = config
        self.steps = steps
        self.trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        matrices = [p for p in self.trained.values() if p.ndim >= 2]
        vectors = [p for p in self.trained.values() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.adamw = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)
        self.average = {name: p.detach().clone() for name, p in self.trained.items()} if config.ema_decay else {}

    def step(self, step: int) -> float:
        """Change the weights by their gradients, which are then cleared.

        Args:
            step: its number, from 0.

        Returns:
            The norm of the gradients before clipping; not finite when they are not, and then nothing was changed.
        """
        norm = whole(nn.utils.clip_grad_norm_(self.trained.values(), self.config.max_gradient_norm))
        if torch.isfinite(norm):
            rate = self.config.learning_rate * cosine_with_warmup(step, self.steps, self.config.warmup_frac)
            for group in self.adamw.param_groups:
                group["lr"] = rate
            self.adamw.step()
            self._follow(step)
        self.adamw.zero_grad(set_to_none=True)
        return float(norm)

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        for name, value in self.average.items():
            value.lerp_(self.trained[name], 1 - decay)

    @torch.no_grad()
    def use_average(self) -> None:
        """Put the averaged weights into the module; training does not go on from there."""
        for name, value in self.average.items():
            self.trained[name].copy_(value)

    def state(self) -> Iterator[tuple[str, Tensor]]:
        """Everything a resumed run needs beside the step number, by unique names; all processes must ask."""
        for name, parameter in self.trained.items():
            yield f"weight.{name}", whole(parameter)
            for key, value in self.adamw.state.get(parameter, {}).items():
                yield f"adamw.{key}.{name}", whole(value)
        for name, value in self.average.items():
            yield f"average.{name}", whole(value)

    @torch.no_grad()
    def restore(self, state: Iterable[tuple[str, Tensor]]) -> None:
        """Go on from what ``state`` gave.

        Raises:
            KeyError: the state is of another module.
            RuntimeError: it has other shapes.
        """
        found = dict(state)
        for name, parameter in self.trained.items():
            parameter.copy_(as_held(found.pop(f"weight.{name}"), parameter))
            moments = [key for key in ("exp_avg", "exp_avg_sq") if f"adamw.{key}.{name}" in found]
            if moments:
                kept = {key: as_held(found.pop(f"adamw.{key}.{name}"), parameter).clone() for key in moments}
                self.adamw.state[parameter] = {"step": found.pop(f"adamw.step.{name}").clone(), **kept}
        for name, value in self.average.items():
            value.copy_(as_held(found.pop(f"average.{name}"), value))
        if found:
            raise KeyError(f"unknown entries, the first is {next(iter(found))}")
