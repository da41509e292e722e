"""The recipes of the emotional-reaction paper's Tables 3 to 6, and of the temporal model beyond them."""

from omnisila.config import Config
from omnisila.models.reaction_run import ReactionModelConfig
from omnisila.recipes.rows.table import reaction_row
from omnisila.training.regression import PROBE_TRAINING, VIPER_TRAINING, RegressionConfig

TRAINING = {
    "bilstm": RegressionConfig(epochs=50, learning_rate=1e-3, patience=10),  # the paper names no rate
    "probe": PROBE_TRAINING,
    "viper": VIPER_TRAINING,
    "temporal-av": RegressionConfig(epochs=40, learning_rate=3e-4, weight_decay=0.05, patience=8),
}


class ReactionRecipe(Config):
    """Everything that decides a reaction model beside its data.

    Attributes:
        streams: modality -> the stream of cached features that it is read from.
    """

    name: str
    model: ReactionModelConfig
    streams: dict[str, str]
    training: RegressionConfig


def reaction_recipe(name: str) -> ReactionRecipe:
    """The recipe of a row of reactions. Source: emotional-reaction paper, Tables 3 to 6.

    Raises:
        InputError: no such row.
    """
    row = reaction_row(name)
    return ReactionRecipe.model_validate(
        {"name": row.title, **row.changes, "training": TRAINING[row.changes["model"]["kind"]]}
    )
