"""The share of the time at which a face shows an expression: frames without a face do not count."""

import torch

from omnisila.labels import REACTION
from omnisila.models.reaction import ReactionBatch
from omnisila.models.reaction_run import load_reaction
from omnisila.scenes.reaction.actions import COLUMNS
from omnisila.weights import FOLDER


def test_the_installed_model_averages_two_expressions_over_the_frames_with_a_face():
    run = load_reaction(FOLDER / "compact-reaction")
    values = torch.zeros(1, 32, len(COLUMNS))
    values[0, :8, COLUMNS.index("happy")] = 1.0
    values[0, 8:16, COLUMNS.index("surprised")] = 0.5
    face = torch.zeros(1, 32, dtype=torch.bool)
    face[0, :16] = True
    said = run.model.intensities(ReactionBatch({"fau": values}, {"fau": face}))[0]
    shares = dict(zip(REACTION.labels, said.tolist(), strict=True))
    assert shares == {**dict.fromkeys(REACTION.labels, 0.0), "Amusement": 0.5, "Surprise": 0.25}
    assert run.record.emotions == ("Amusement", "Surprise")
