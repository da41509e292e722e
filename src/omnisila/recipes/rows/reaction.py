"""The rows of the emotional-reaction paper's Tables 3 to 6, one function a kind, and the temporal model beyond them."""

from collections.abc import Callable

from omnisila.config import Config
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ACTIVATIONS, Activation, ProbeConfig
from omnisila.models.reaction_run import ReactionModelConfig
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig
from omnisila.recipes.rows.table import REACTION, reaction_row
from omnisila.training.regression import PROBE_TRAINING, VIPER_TRAINING, RegressionConfig

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
    return _row("baseline-fau", BiLSTMConfig(), BASELINE_TRAINING)


def baseline_vggface2() -> ReactionRow:
    """Face recognition features through a BiLSTM. Source: emotional-reaction paper, Table 3."""
    return _row("baseline-vggface2", BiLSTMConfig(), BASELINE_TRAINING)


def probing(row: str, activation: Activation) -> ReactionRow:
    """A probe on a Video-LLM's pooled tokens. Source: emotional-reaction paper, Tables 3 and 4."""
    return _row(row, ProbeConfig(activation=activation), PROBE_TRAINING)


def viper(row: str) -> ReactionRow:
    """ViPER on some of image (v), audio (a), text (t) and action units (f).

    Source: emotional-reaction paper, Tables 3, 5 and 6.
    """
    return _row(row, ViPERConfig(), VIPER_TRAINING)


def temporal(row: str) -> ReactionRow:
    """The temporal model beyond the paper, on the same features."""
    return _row(row, TemporalAVConfig(), TEMPORAL_TRAINING)


def _row(row: str, model: ReactionModelConfig, training: RegressionConfig) -> ReactionRow:
    name, streams = reaction_row(row)
    return ReactionRow(name=name, model=model, streams=streams, training=training)


ROWS: dict[str, Callable[[], ReactionRow]] = {
    "baseline-fau": baseline_fau,
    "baseline-vggface2": baseline_vggface2,
    **{
        row: lambda row=row, activation=activation: probing(row, activation)
        for activation in ACTIVATIONS
        for row in (f"probing-1-{activation}", f"probing-2-{activation}")
    },
    **{row: lambda row=row: viper(row) for row in REACTION if row.startswith("viper-")},
    **{row: lambda row=row: temporal(row) for row in REACTION if row.startswith("temporal-")},
}
