"""The rows of the emotional-reaction paper's Tables 3 to 6, one function a kind, and the temporal model beyond them."""

from collections.abc import Callable

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ACTIVATIONS, Activation, ProbeConfig
from omnisila.models.reaction_run import ReactionModelConfig
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig
from omnisila.training.regression import PROBE_TRAINING, VIPER_TRAINING, RegressionConfig

LETTERS = {"v": "visual", "a": "audio", "t": "text", "f": "fau"}
TEXTS = {
    "clip": "CLIP", "video-llava-1": "Video-LLaVA 1", "video-llava-2": "Video-LLaVA 2", "llava": "LLaVA",
}  # fmt: skip
BASELINE_TRAINING = RegressionConfig(epochs=50, learning_rate=1e-3, patience=10)  # the paper names no rate
TEMPORAL_TRAINING = RegressionConfig(epochs=40, learning_rate=3e-4, weight_decay=0.05, patience=8)


class ReactionRow(Config):
    """Everything that decides a reaction model beside its data.

    Attributes:
        name: of the system, as results call it.
        streams: modality -> the stream of cached features that it is read from.
    """

    name: str
    model: ReactionModelConfig
    streams: dict[str, str]
    training: RegressionConfig


def baseline_fau() -> ReactionRow:
    """Facial action units through a BiLSTM. Source: emotional-reaction paper, Table 3."""
    return ReactionRow(
        name="Baseline FAU", model=BiLSTMConfig(), streams={"fau": "fau"}, training=BASELINE_TRAINING
    )  # fmt: skip


def baseline_vggface2() -> ReactionRow:
    """Face recognition features through a BiLSTM. Source: emotional-reaction paper, Table 3."""
    return ReactionRow(
        name="Baseline VGGFace2", model=BiLSTMConfig(), streams={"face": "face"}, training=BASELINE_TRAINING
    )  # fmt: skip


def probing(prompt: int, activation: Activation = "relu") -> ReactionRow:
    """A probe on a Video-LLM's pooled tokens. Source: emotional-reaction paper, Tables 3 and 4.

    Args:
        prompt: 1 or 2, the number of the paper's prompt.
    """
    return ReactionRow(
        name=f"Probing, prompt {prompt}, {activation}",
        model=ProbeConfig(activation=activation),
        streams={"pooled": f"pooled-{prompt}"},
        training=PROBE_TRAINING,
    )


def viper(letters: str, text: str = "video-llava-2") -> ReactionRow:
    """ViPER on some of image (v), audio (a), text (t) and action units (f).

    Source: emotional-reaction paper, Tables 3, 5 and 6; text is Video-LLaVA's under prompt 2 where Table 6 names none.
    """
    words = f", {TEXTS[text]}" if "t" in letters else ""
    return ReactionRow(
        name=f"ViPER-{letters.upper()}{words}",
        model=ViPERConfig(),
        streams=_streams(letters, text),
        training=VIPER_TRAINING,
    )


def temporal(letters: str, text: str = "video-llava-2") -> ReactionRow:
    """The temporal model beyond the paper, on the same features."""
    return ReactionRow(
        name=f"Temporal-{letters.upper()}",
        model=TemporalAVConfig(),
        streams=_streams(letters, text),
        training=TEMPORAL_TRAINING,
    )


def _streams(letters: str, text: str) -> dict[str, str]:
    return {LETTERS[one]: f"text-{text}" if one == "t" else LETTERS[one] for one in letters}


ROWS: dict[str, Callable[[], ReactionRow]] = {
    "baseline-fau": baseline_fau,
    "baseline-vggface2": baseline_vggface2,
    **{
        f"probing-{prompt}-{activation}": lambda prompt=prompt, activation=activation: probing(prompt, activation)
        for prompt in (1, 2)
        for activation in ACTIVATIONS
    },
    **{
        f"viper-{letters}": lambda letters=letters: viper(letters)
        for letters in ("v", "va", "vt", "vf", "vat", "vtf", "vaf", "vatf")
    },
    **{f"viper-vatf-{text}": lambda text=text: viper("vatf", text) for text in TEXTS},
    **{f"temporal-{letters}": lambda letters=letters: temporal(letters) for letters in ("va", "vaf", "vatf")},
}


def chosen_row(name: str) -> ReactionRow:
    """A row by its name.

    Raises:
        InputError: no such row.
    """
    if name not in ROWS:
        raise InputError(f"row {name!r}. Choose querying or one of: {', '.join(ROWS)}.")
    return ROWS[name]()
