"""The recurrent baseline beside torch's own LSTM, clip by clip."""

import torch

from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.reaction import FRAMES, ReactionBatch


@torch.no_grad()
def test_it_reads_the_frames_that_are_there_and_no_others():
    torch.manual_seed(0)
    model = BiLSTMConfig(width=6, layers=2).build({"fau": 4}).eval()
    mask = torch.rand(3, FRAMES) < 0.5
    mask[1] = False  # no face at all
    values = torch.randn(3, FRAMES, 4).where(mask.unsqueeze(-1), torch.nan)
    answers = model(ReactionBatch({"fau": values}, {"fau": mask}))
    for clip in range(3):
        seen = values[clip][mask[clip]] if mask[clip].any() else torch.zeros(1, 4)
        _, (last, _) = model.lstm(model.project(seen).unsqueeze(0))
        wanted = model.head(torch.cat([last[-2, 0], last[-1, 0]])).sigmoid()
        torch.testing.assert_close(answers[clip], wanted)
