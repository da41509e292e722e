"""A reaction model's run folder <-> model: ``model.safetensors`` beside ``run.json``."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save

from omnisila.errors import WeightsError
from omnisila.labels import REACTION
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.frame_reading import FrameReadingConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction import ReactionModel
from omnisila.models.reaction_sources import DescribedSource, PooledSource
from omnisila.models.run_files import LANGUAGE, RUN, RunSummary, read_contents, read_record, seal_record, write_run
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.schema import Probability

ReactionModelConfig = Annotated[
    ProbeConfig | ViPERConfig | BiLSTMConfig | TemporalAVConfig | FrameReadingConfig, Field(discriminator="kind")
]


class ReactionRecord(RunSummary):
    """The content of a reaction model's ``run.json``: how to build it, what it reads, and where it came from.

    Attributes:
        widths: modality -> width of its values, in the model's order.
        streams: modality -> the stream of features that it was trained on.
        kinds: modality -> what that stream's numbers are; features of another kind are not what it knows.
        features: the networks that make its streams of a video; None where other programs made them.
        features_digest: ``networks_digest`` of those features at training, so that other networks of the same name are
            noticed; None where it is not known.
        pooled: the Video-LLM whose pooled tokens it reads; None where it reads none.
        described: stream of texts that it reads -> the Video-LLM that writes them.
        outputs: a label each; those of them in ``labels`` were trained and may be reported.
        train_mean: mean intensity of each output over the training split.
    """

    model_config = ConfigDict(extra="forbid")
    hashed = RunSummary.hashed | {
        "model", "widths", "streams", "kinds", "features", "pooled", "described", "outputs",
    }  # fmt: skip

    kind: Literal["scene", "reaction"] = "reaction"
    model: ReactionModelConfig
    widths: dict[str, int]
    streams: dict[str, str]
    kinds: dict[str, str] = Field(default_factory=dict)
    features: ReactionFeatureConfig | None = None
    features_digest: str | None = None
    pooled: PooledSource | None = None
    described: dict[str, DescribedSource] = Field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = Field(default_factory=lambda: {REACTION.name: REACTION.labels})
    outputs: tuple[str, ...] = REACTION.labels
    train_mean: tuple[Probability, ...]

    @model_validator(mode="after")
    def _labels_are_outputs(self) -> Self:
        trained = self.labels.get(REACTION.name, ())
        if not trained or not set(trained) <= set(self.outputs):
            raise ValueError(f"labels {trained or 'are empty'}; wanted some of {', '.join(self.outputs)}")
        return self

    @property
    def emotions(self) -> tuple[str, ...]:
        """The labels that may be reported, in the order of the outputs."""
        return tuple(label for label in self.outputs if label in self.labels[REACTION.name])


class ReactionRun(NamedTuple):
    """A loaded run folder; the model is in evaluation mode."""

    model: ReactionModel
    record: ReactionRecord


def save_reaction(folder: Path, model: ReactionModel, record: ReactionRecord) -> ReactionRecord:
    """Write a model into a run folder, all files or none; returns the record with its hash.

    Raises:
        OutputError: the folder cannot be written.
    """
    contents = {LANGUAGE: save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})}
    record = seal_record(record, contents)
    write_run(folder, record, contents)
    return record


def load_reaction(folder: Path) -> ReactionRun:
    """Build the model that a run folder holds, on the processor.

    Raises:
        WeightsError: a file is missing or changed, or its tensors are not those of the recorded configuration.
    """
    record = read_record(folder, ReactionRecord)
    model = record.model.build(record.widths)
    try:
        model.load_state_dict(load(read_contents(folder, record)[LANGUAGE]))
    except (RuntimeError, SafetensorError, KeyError) as error:
        raise WeightsError(
            f"{folder / LANGUAGE}: not the weights of its {RUN} ({str(error).splitlines()[0]}). Train again."
        ) from error
    return ReactionRun(model.eval(), record)
