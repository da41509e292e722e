"""What is asked of every input of a batch, and a process that is ready to do it."""

from pathlib import Path

from omnisila.batches.storage import Storage
from omnisila.batches.work import Work, scratch_folder
from omnisila.config import Frozen
from omnisila.inference.batch import RunIdentity, answering_digest
from omnisila.inference.load import load
from omnisila.inference.run_folders import model_card, plan_answering
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import known_sets
from omnisila.report.writer import Report
from omnisila.scenes.cache import FeatureCache


class Task(Frozen):
    """What is done with every input: all that a process needs to begin.

    Attributes:
        model: as ``load`` takes it.
        label_files: label sets as the user named them, so that a process knows those that are files.
        features: folder where features are kept; None: in scratch, until their input has ended.
    """

    model: str
    settings: AnalyzerConfig
    label_files: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("json",)
    blur_faces: bool = False
    out: str
    features: Path | None = None

    def identity(self) -> RunIdentity:
        """What decides every result, read off the model's records.

        Raises:
            InputError: no such model, or settings that it cannot meet.
        """
        runs = plan_answering(self.model, self.settings)
        labels = tuple(name for run in (runs.scenes, runs.reaction) if run is not None for name in run.settings.labels)
        settings = self.settings.replace(labels=labels or self.settings.labels)
        more = {"blur_faces": self.blur_faces, "formats": ",".join(self.formats)}
        return RunIdentity.of(answering_digest(self.model, self.settings), settings, **more)


def prepare(task: Task) -> Work:
    """A process's models and folders, ready for inputs.

    Raises:
        InputError: settings that the model cannot meet.
        WeightsError: its files are damaged.
    """
    known_sets(task.label_files)
    scratch = scratch_folder()
    analyzer = load(task.model, task.settings, FeatureCache(task.features or scratch / "features"))
    storage = Storage(task.out)
    report = Report(
        storage.folder or Path(),
        task.formats,
        blur_faces=task.blur_faces,
        model_card=model_card(plan_answering(task.model, task.settings).folders),
        calibration_note=analyzer.validity,
        linked=storage.folder is not None,
    )
    return Work(analyzer.analyze, report.writers(), storage, scratch)
