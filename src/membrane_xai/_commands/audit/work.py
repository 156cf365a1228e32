"""Run an audit from files to files: match, score, summarise, report."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from membrane_xai._commands.audit.checks import check_pixel_size
from membrane_xai._commands.audit.groups import GroupTable, read_groups
from membrane_xai._commands.audit.matching import Matched, Matches, match
from membrane_xai._disk.atomic import write_text
from membrane_xai._disk.hashes import content_hash
from membrane_xai._disk.names import made_folder
from membrane_xai._disk.progress import progress
from membrane_xai.annotations._classes import Class
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.metrics import CamGrid
from membrane_xai.study import StudyResult, read_study
from membrane_xai.study._consistency import consistency_of
from membrane_xai.study._entries import Entry
from membrane_xai.study._finished import Rows, prune_rows
from membrane_xai.study._outline_files import Present, check_classes, classes_among, counted
from membrane_xai.study._outlines import not_called_membrane, outlines_of, to_draw
from membrane_xai.study._run import Options, run
from membrane_xai.study._summary import columns_to_part_by, parts_of_columns, summary_of
from membrane_xai.study._views import remove_views
from membrane_xai.tables import provenance, write_csv, write_json

__all__ = ["Audit", "Request", "audit"]

_BATCH = 4  # images, after which rows are kept
_PACKAGES = ("pillow", "scikit-image", "shapely", "tifffile", "zarr")


@dataclass(frozen=True)
class Request:
    """Folders and options of an audit."""

    images: Path
    cams: Path
    out: Path
    mpp: float | None
    bits: int | None
    method: str | None
    annotations: Path | None
    classes: tuple[str, ...]
    line_width: float | None
    regions: str | None
    """"tissue", "tumour" or None."""
    tissue_classes: tuple[str, ...]
    """Of the outlines that say where tissue is; none if the stain says it."""
    region_classes: tuple[str, ...]
    """Of the outlines that say where the tumour is; none if the stain says it."""
    controls: tuple[str, ...]
    groups: Path | None
    grids: tuple[tuple[str | None, CamGrid], ...]
    """With the method, or None for all."""
    negative: str
    similarity: str
    chance_test: str | None
    draws: int
    seed: int
    report: bool
    command: str

    @property
    def of_region(self) -> tuple[str, ...]:
        """Classes of the outlines that say where to look."""
        return (*self.tissue_classes, *self.region_classes)


@dataclass(frozen=True)
class Audit:
    """Rows, matches, summary and EC of an audit."""

    rows: Rows
    matches: Matches
    summary: Rows
    ec: Rows
    left_out: list[str]
    """Columns of too many values to part images by."""
    not_drawn: str
    """How many outlines of which classes are not drawn as membrane, in words."""
    assumed: str
    """Which classes are drawn that are not called membrane, in words."""
    report: Path | None


class Chosen(NamedTuple):
    """Classes of outlines that are membrane where nobody says it, and what is not drawn."""

    of_set: tuple[Class, ...] | None = None
    left_out: Mapping[Class, int] = MappingProxyType({})
    others_on_slide: bool | None = None
    """Of tiles: whether outlines are in coordinates of the slide, where one file does not say."""


def audit(request: Request) -> Audit:
    """Do it all, and write it to the folder of results."""
    if request.report:
        _check_report()
    table = read_groups(request.groups) if request.groups else None
    matches = match(
        request.images,
        request.cams,
        method=request.method,
        annotations=request.annotations,
        table=table,
        without=[request.out],
    )
    _check_zarr(matches)
    chosen = _checked_masks(request, matches)
    made_folder(request.out)
    _write_unmatched(request.out, matches)
    study = _scored(request, matches, table, chosen)
    return _written(request, matches, table, study, chosen)


def _checked_masks(request: Request, matches: Matches) -> Chosen:
    """Check at the start what would be wrong with every image; choose classes of outlines."""
    if request.annotations is None and (request.classes or request.line_width):
        raise InvalidInputError("--annotation-class and --line-width go with --annotations")
    for where, classes in (("tissue", request.tissue_classes), ("tumour", request.region_classes)):
        if classes and (request.annotations is None or request.regions != where):
            option = "--tissue-class" if where == "tissue" else "--region-class"
            raise InvalidInputError(f"{option} goes with --annotations and --regions {where}")
    by_stain = request.annotations is None or (request.regions and not request.of_region)
    if by_stain or request.controls or request.line_width:
        check_pixel_size(matches.images[0].image, request.mpp, request.bits)
    files = [outlines_of(one.outlines, one.image) for one in matches.images if one.outlines]
    until = (*request.classes, *request.of_region) if request.classes else ()
    return _chosen(request, classes_among(files, until=until)) if files else Chosen()


def _chosen(request: Request, present: Present) -> Chosen:
    """Choose by the classes of all files: some image may have none that is membrane."""
    check_classes(present, request.classes, "--annotation-class")
    check_classes(present, request.tissue_classes, "--tissue-class")
    check_classes(present, request.region_classes, "--region-class")
    if request.classes or not present.all:
        return Chosen(others_on_slide=present.others_on_slide)
    known = request.of_region
    of_set = to_draw(present.objects, without=known)
    left_out = {x: n for x, n in present.objects.items() if x not in (*of_set, *known)}
    left_out |= {f"{x or ''} (TMA core)".strip(): n for x, n in present.cores.items()}
    return Chosen(of_set, left_out, present.others_on_slide)


def _scored(
    request: Request, matches: Matches, table: GroupTable | None, chosen: Chosen
) -> StudyResult:
    """Return the study of all images; the folder then has these and no others."""
    options = Options(
        masks="extract" if request.annotations is None else "given",
        regions=request.regions,
        grid=_grids(request, matches.methods),
        controls=request.controls,
        negative=request.negative,
        mpp=request.mpp,
        bits=request.bits,
        batch_size=_BATCH,
        progress=True,
        out=request.out,
        views=True,
        chance_test=request.chance_test,
        draws=request.draws,
        seed=request.seed,
        about={"images": str(request.images.resolve()), "cams": str(request.cams.resolve())},
    )
    methods = dict.fromkeys(matches.methods)  # whose maps the entries have
    labels = _labels(table.columns if table else ())
    given = _entries(request, matches.images, labels, chosen)
    try:
        study = run(methods, given, options, len(matches.images))
    except KeyboardInterrupt:
        _write_finished(request.out)
        raise
    there = {(row["key"], row["method"]) for row in study.rows}
    remove_views(request.out, prune_rows(request.out, there))
    return study


def _grids(request: Request, methods: Sequence[str]) -> dict[str, CamGrid]:
    """Return the grids that were given, by method."""
    given = dict(request.grids)
    if len(given) < len(request.grids):
        raise InvalidInputError("--grid is given twice for one method; it takes one for each")
    for name in given:
        if name is not None and name not in methods:
            raise InvalidInputError(
                f"--grid is for {name!r}; there are CAMs of {', '.join(map(repr, methods))}"
            )
    own = {name: given[name] for name in methods if name in given}
    return {name: given[None] for name in methods if None in given} | own


def _entries(
    request: Request,
    images: Sequence[Matched],
    labels: Sequence[str],
    chosen: Chosen,
) -> Iterator[Entry]:
    for one in images:
        mask: Any = "extract"
        region: Any = request.regions
        if one.outlines:
            mask = outlines_of(
                one.outlines,
                one.image,
                called=one.name,
                classes=request.classes,
                of_set=chosen.of_set,
                line_width=request.line_width,
                others_on_slide=chosen.others_on_slide,
            )
            if request.of_region:
                region = outlines_of(
                    one.outlines,
                    one.image,
                    called=one.name,
                    classes=request.of_region,
                    region=True,
                    others_on_slide=chosen.others_on_slide,
                )
        yield Entry(
            id=one.name,
            image=one.image,
            mask=mask,
            region=region,
            mpp=request.mpp,
            bits=request.bits,
            group=one.row.get("group"),
            target=one.row.get("class"),
            labels={name: one.row.get(name) for name in labels},
            cams=one.cams,
            controls=request.controls,
        )


def _write_finished(out: Path) -> None:
    """Write the table of what was finished before a stop."""
    try:
        rows = read_study(out).rows
    except InvalidInputError:
        return  # stopped before there was a study
    if rows:
        write_csv(out / "results.csv", rows)


def _written(
    request: Request,
    matches: Matches,
    table: GroupTable | None,
    study: StudyResult,
    chosen: Chosen,
) -> Audit:
    rows, out = study.rows, request.out
    columns, left_out = columns_to_part_by(rows, _labels(table.columns if table else ()))
    record = _record(request, matches, study.inputs)
    write_csv(out / "results.csv", rows)
    write_json(out / "results.json", rows, record)
    parts = parts_of_columns(rows, columns)
    summary = summary_of(parts, draws=request.draws, seed=request.seed, on_grid=study.on_grid)
    write_csv(out / "summary.csv", summary)
    write_json(out / "summary.json", summary, record)
    with progress(len(rows)) as show:
        ec = consistency_of(parts, out, similarity=request.similarity, show=lambda n: show(n, "EC"))
    if ec:
        write_csv(out / "ec.csv", ec)
    else:
        (out / "ec.csv").unlink(missing_ok=True)
    report = _report(request) if request.report else None
    not_drawn, assumed = counted(chosen.left_out), not_called_membrane(chosen.of_set or ())
    return Audit(rows, matches, summary, ec, left_out, not_drawn, assumed, report)


def _labels(columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name not in ("group", "class")]


def _record(request: Request, matches: Matches, inputs: dict[str, str]) -> dict[str, Any]:
    """Return the provenance: `inputs` are hashed as they were read for the scores."""
    chosen = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(request).items()
        if name != "command"
    }
    chosen["grids"] = {name or "all": grid.to_text() for name, grid in request.grids}
    groups = {str(request.groups): content_hash(request.groups)} if request.groups else {}
    return provenance(chosen, packages=_PACKAGES) | {
        "command": request.command,
        "inputs": {path: f"sha256:{digest}" for path, digest in (inputs | groups).items()},
        "unmatched": [one._asdict() for one in matches.unmatched],
    }


def _write_unmatched(out: Path, matches: Matches) -> None:
    lines = [f"{one.what}: {one.name}\n" for one in matches.unmatched]
    write_text(out / "unmatched.txt", "".join(lines))


def _check_report() -> None:
    """Raise at the start for what the report at the end would lack."""
    try:
        importlib.import_module("jinja2")
    except ImportError as error:
        raise missing(error, "the report (--no-report leaves it out)", extra="report") from error


def _check_zarr(matches: Matches) -> None:
    paths = [path for one in matches.images for path in one.cams.values() if path]
    found = next((path for path in paths if path.suffix.lower() == ".zarr"), None)
    if found is not None:
        try:
            importlib.import_module("zarr")
        except ImportError as error:
            raise missing(error, f"{found}: a Zarr array", extra="dask") from error


def _report(request: Request) -> Path:
    from membrane_xai.html_report import write_html_report

    return write_html_report(
        request.out,
        request.out / "report.html",
        title=f"Membrane audit: {request.cams.resolve().name}",
        command=request.command,
        progress=True,
    )
