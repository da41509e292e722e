"""The installed model of reactions: frames are read one by one, and those without a face do not count."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from omnisila.errors import InputError
from omnisila.labels import REACTION
from omnisila.models.frame_reading import FrameReading, FrameReadingConfig
from omnisila.models.reaction import ReactionBatch
from omnisila.models.reaction_run import load_reaction
from omnisila.scenes.nets.expression import INPUT_PX, ExpressionNet
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.reaction.actions import COLUMNS, KIND, ActionReader
from omnisila.scenes.reaction.face import crops, follow_face
from omnisila.weights import FOLDER

PHOTOGRAPH = Path(__file__).parents[2] / "fixtures" / "astronaut.jpg"  # of somebody who smiles
AMUSEMENT, SURPRISE = REACTION.labels.index("Amusement"), REACTION.labels.index("Surprise")


def clip(frames: int, **shown: float) -> torch.Tensor:
    values = torch.full((1, 32, len(COLUMNS)), 0.02)
    for name, probability in shown.items():
        values[0, :frames, COLUMNS.index(name)] = probability
    return values


def faces(count: int) -> torch.Tensor:
    return (torch.arange(32) < count)[None]


def test_intensity_is_the_share_of_the_frames_with_a_face():
    model = cast("FrameReading", FrameReadingConfig(emotions=(AMUSEMENT,)).build({"fau": len(COLUMNS)}))
    model.line.weight.zero_()
    model.line.bias.zero_()
    model.line.weight[AMUSEMENT, COLUMNS.index("happy")] = 5.0
    said = model.intensities(ReactionBatch({"fau": clip(8, happy=0.98)}, {"fau": faces(16)}))[0]
    assert said[AMUSEMENT].item() == pytest.approx(0.5, abs=0.01)
    assert said.sum() == said[AMUSEMENT], "an emotion that is not read is 0"


def test_the_installed_model_sees_that_somebody_smiles():
    run = load_reaction(FOLDER / "compact-reaction")
    assert run.record.emotions == ("Amusement", "Surprise")
    assert run.record.kinds == {"fau": KIND}
    with Image.open(PHOTOGRAPH) as opened:
        picture = torch.from_numpy(np.array(opened.convert("RGB")))[None]
    track = follow_face(MTCNN.pretrained(), picture)
    words = ExpressionNet.pretrained()(crops(picture, track, INPUT_PX)).probabilities
    row = torch.cat([words, ActionReader.pretrained().read(picture, track)], 1)
    said = run.model.intensities(ReactionBatch({"fau": row.expand(1, 32, -1)}, {"fau": faces(32)}))[0]
    assert said[AMUSEMENT] > 0.7
    assert said[SURPRISE] < 0.2
    assert said.sum() == said[AMUSEMENT] + said[SURPRISE]


def test_more_than_one_stream_is_refused():
    with pytest.raises(InputError, match="one stream, not fau, audio"):
        FrameReadingConfig(emotions=(1,)).build({"fau": 3, "audio": 2})
