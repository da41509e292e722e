"""Any Python function as a system that answers examples."""

import importlib
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self, cast

from omnisila.errors import InputError
from omnisila.inference.parsed_answers import parsed_answer
from omnisila.schema import Example, Prediction

Function = Callable[[Example, Path], str | Prediction]


class FunctionSystem:
    """A Python function as a system; a plain answer is parsed, and kept raw where it cannot be."""

    def __init__(self, name: str, function: Function) -> None:
        self.name, self.function = name, function

    @classmethod
    def from_name(cls, name: str) -> Self:
        """The function that ``module:function`` stands for, importable from here.

        Raises:
            InputError: there is none.
        """
        return cls(name, _function(name))

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        for example in examples:
            began = time.perf_counter()
            said = self.function(example, video)
            seconds = time.perf_counter() - began
            if isinstance(said, str):
                said = parsed_answer(example, said, self.name)
            yield said.replace(example_id=example.id, system=self.name, seconds=said.seconds or seconds)


def _function(name: str) -> Function:
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))  # a user's own file beside the call
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{name}: no such function ({error}). Give module:function, importable from here.") from error
    finally:
        sys.path.pop(0)
    if not callable(function) or len(inspect.signature(function).parameters) != 2:
        raise InputError(f"{name}: not a function of (example, video path). Give one that returns its answer.")
    return cast("Function", function)
