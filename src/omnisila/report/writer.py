"""The files of a report: one writer a format, and the index of a run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from omnisila.errors import OmnisilaError
from omnisila.files import write_atomically
from omnisila.inference.batch import Outcome, Writer, output_path
from omnisila.inference.inputs import Failure, Input
from omnisila.report.cuts import write_cuts
from omnisila.report.exports import PAGE, exporter, wanted_formats
from omnisila.report.exports.json import read as read_json
from omnisila.report.faces import FaceFinder, FaceFinderConfig
from omnisila.report.index import IndexEntry, render_index
from omnisila.report.page import render_page
from omnisila.report.previews import collect_media, thumbnail
from omnisila.schema import Analysis

INDEX = "index.html"
CUTS = "cuts"


class Report:
    """What a run writes into its folder.

    Args:
        out: the folder.
        wanted: names of formats; JSON is always among them.
        blur_faces: hide faces in everything that is shown.
        cuts: cut the findings out of their videos too, see ``cut``.
        model_card: the model's card, in Markdown.
        calibration_note: what the thresholds hold for.

    Raises:
        InputError: no such format; the message lists those there are.
    """

    def __init__(
        self,
        out: Path,
        wanted: Sequence[str],
        *,
        blur_faces: bool,
        model_card: str | None,
        calibration_note: str,
        cuts: bool = False,
    ) -> None:
        self.out = out
        self.wanted = wanted_formats(wanted)
        self._blur_faces = blur_faces
        shown = cuts or PAGE in self.wanted
        self._finder: FaceFinder | None = FaceFinderConfig().build() if blur_faces and shown else None
        self._render = partial(render_page, model_card=model_card, calibration_note=calibration_note)

    def writers(self) -> Mapping[str, Writer]:
        """By suffix, what makes each output's content."""
        exporters = [exporter(name) for name in self.wanted if name != PAGE]
        writers: dict[str, Writer] = {one.suffix: _exported(one.export) for one in exporters}
        if PAGE in self.wanted:
            writers[PAGE] = self._page
        return writers

    def cut(self, outcome: Outcome) -> tuple[str, ...]:
        """The clips of a finished input's findings, in the folder ``clip.mp4.cuts``; why some could not be cut.

        Where the input was done by an earlier run, only clips that are missing are cut.
        """
        item = outcome.input
        analysis = outcome.analysis or self._written(item)
        folder = output_path(self.out, item.name, CUTS)
        again = outcome.state == "done"
        try:
            return write_cuts(item.path, analysis, folder, finder=self._finder, again=again).failed
        except OmnisilaError as error:
            return (str(error),)

    def write_index(self, outcomes: Iterable[Outcome], failed: Iterable[Failure]) -> Path:
        """One row a video, ranked by its strongest finding, and the failures with their reasons."""
        entries = [self._entry(outcome) for outcome in outcomes]
        entries += [IndexEntry(name=failure.name, failure=failure.reason) for failure in failed]
        write_atomically(self.out / INDEX, render_index(entries))
        return self.out / INDEX

    def _page(self, analysis: Analysis, item: Input) -> str:
        media = collect_media(item.path, analysis, self._blur_faces, finder=self._finder)
        page = output_path(self.out, item.name, PAGE)
        return self._render(analysis, media, quote(Path(relpath(item.path, page.parent)).as_posix()))

    def _entry(self, outcome: Outcome) -> IndexEntry:
        item = outcome.input
        if outcome.state == "failed":
            return IndexEntry(name=item.name, failure=outcome.reason or "failed")
        analysis = self._written(item)
        picture = thumbnail(item.path, analysis, self._blur_faces)
        return IndexEntry.of(analysis, item.name, quote(f"{item.name}.{PAGE}"), picture)

    def _written(self, item: Input) -> Analysis:
        return read_json(output_path(self.out, item.name, "json").read_text(encoding="utf-8"))


def _exported(export: Callable[[Analysis], str]) -> Writer:
    def write(analysis: Analysis, _item: Input) -> str:
        return export(analysis)

    return write
