"""Run folder of a reaction model: ``reaction.json`` and ``model.safetensors``, the record written last."""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import Field, JsonValue, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save

from omnisila.config import Frozen
from omnisila.errors import WeightsError
from omnisila.files import write_atomically
from omnisila.labels import REACTION
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.baselines.expression_share import ExpressionShareConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction import ReactionModel
from omnisila.models.reaction_sources import DescribedSource, PooledSource
from omnisila.models.run_files import REACTION_RUN, read_record
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.schema import ModelIdentity, Probability

WEIGHTS = "model.safetensors"

ReactionModelConfig = Annotated[
    ProbeConfig | ViPERConfig | BiLSTMConfig | TemporalAVConfig | ExpressionShareConfig, Field(discriminator="kind")
]


class ReactionRecord(Frozen):
    """The content of ``reaction.json``: how to build the model, what it reads, and where it came from.

    Attributes:
        name: what the model is called in results.
        widths: modality -> width of its values, in the model's order.
        streams: modality -> the stream of features that it was trained on.
        kinds: modality -> what that stream's numbers are; features of another kind are not what it knows.
        features: the networks that make its streams of a video; None where other programs made them.
        features_digest: ``networks_digest`` of those features at training, so that other networks of the same name are
            noticed; None where it is not known.
        pooled: the Video-LLM whose pooled tokens it reads; None where it reads none.
        described: stream of texts that it reads -> the Video-LLM that writes them.
        labels: one output each.
        scored: those of the labels that were trained, and may be reported; None where all were.
        train_mean: mean intensity of each label over the training split.
        recipe: the training's whole configuration, in its own words.
        sha256: of the weights; filled in when saving.
    """

    schema_version: Literal[1] = 1
    name: str
    version: str = Field(default_factory=lambda: metadata.version("omnisila"))
    model: ReactionModelConfig
    widths: dict[str, int]
    streams: dict[str, str]
    kinds: dict[str, str] = Field(default_factory=dict)
    features: ReactionFeatureConfig | None = None
    features_digest: str | None = None
    pooled: PooledSource | None = None
    described: dict[str, DescribedSource] = Field(default_factory=dict)
    labels: tuple[str, ...] = REACTION.labels
    scored: tuple[str, ...] | None = None
    train_mean: tuple[Probability, ...]
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    sha256: str = ""

    @model_validator(mode="after")
    def _scored_exist(self) -> Self:
        unknown = sorted(set(self.scored or ()) - set(self.labels))
        if unknown or self.scored == ():
            raise ValueError(
                f"scored {unknown or 'is empty'}; wanted some of {', '.join(self.labels)}, or null for all"
            )
        return self

    @property
    def labels_scored(self) -> tuple[str, ...]:
        """The labels that may be reported, in the order of the outputs."""
        return tuple(label for label in self.labels if self.scored is None or label in self.scored)

    @property
    def identity(self) -> ModelIdentity:
        """What results say about the model; the digest covers weights and configuration."""
        parts = {"model", "widths", "streams", "kinds", "labels", "sha256"}
        said = {name for name in ("scored", "features", "pooled", "described") if getattr(self, name)}
        core = self.model_dump_json(include=parts | said, exclude={"features": {"device"}})
        return ModelIdentity(name=self.name, version=self.version, digest=hashlib.sha256(core.encode()).hexdigest())


class ReactionRun(NamedTuple):
    """A loaded run folder; the model is in evaluation mode."""

    model: ReactionModel
    record: ReactionRecord


def save_reaction(folder: Path, model: ReactionModel, record: ReactionRecord) -> ReactionRecord:
    """Write a model into a run folder, each file whole or not at all; returns the record with its hash.

    Raises:
        OutputError: the folder cannot be written.
    """
    weights = save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})
    record = record.replace(sha256=hashlib.sha256(weights).hexdigest())
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / REACTION_RUN, record.model_dump_json(indent=2))
    return record


def load_reaction(folder: Path, device: torch.device | None = None) -> ReactionRun:
    """Build the model that a run folder holds.

    Raises:
        WeightsError: a file is missing or changed, or its tensors are not those of the recorded configuration.
    """
    record = read_record(folder / REACTION_RUN, ReactionRecord)
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise WeightsError(f"{folder / WEIGHTS}: {error.strerror}. Copy the whole run folder.") from error
    if (digest := hashlib.sha256(weights).hexdigest()) != record.sha256:
        raise WeightsError(
            f"{folder / WEIGHTS}: SHA-256 is {digest}, {REACTION_RUN} says {record.sha256}. Copy the whole run folder."
        )
    model = record.model.build(record.widths)
    try:
        model.load_state_dict(load(weights))
    except (RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"{folder / WEIGHTS}: not the weights of its {REACTION_RUN} ({str(error).splitlines()[0]}). Train again."
        ) from error
    return ReactionRun(model.to(device or torch.device("cpu")).eval(), record)
