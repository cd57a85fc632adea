"""What each engine costs beside time per image: size, memory, and how long it takes to get ready."""

from seatrial.report.numbers import write_figures, write_mebibytes
from seatrial.report.speed import best_speeds
from seatrial.report.tables import ENGINE, NOTHING, Column, Table, numbers
from seatrial.results.energy import METERS
from seatrial.results.run_folder import Run
from seatrial.store.measurement import Point
from seatrial.store.records import EngineManifest


def make_costs(run: Run) -> Table:
    """Parameters, multiply-accumulates, size on disk, compile and load times, first prediction, memory and energy."""
    rows = {name: _list_costs(run, name) for name in run.engines}
    columns = (
        ENGINE,
        *numbers(
            "Parameters, million",
            "Multiply-accumulates an image, billion",
            "On disk, MiB",
            "Compile, s",
            "Load, s",
            "First prediction, ms",
            "Peak memory, MiB",
            "Device memory, MiB",
            *(f"Energy an image, J ({meter})" for meter in METERS),
        ),
    )
    shown = [place for place in range(len(columns) - 1) if any(row[place] != NOTHING for row in rows.values())]
    note = (
        "On disk: all files of the engine, for every batch size that it was compiled for. Load, first prediction and "
        "memory are of the process that measured the best batch size; its memory holds the Python runtime and the "
        f"images too. A dash: not stored. {_explain_energy(run)}"
    )
    kept: tuple[Column, ...] = (ENGINE, *(columns[place + 1] for place in shown))
    absent = "Neither sizes nor memory are stored in this run."
    cells = tuple((name, *(row[place] for place in shown)) for name, row in rows.items() if shown)
    return Table("What it costs", note, kept, cells, absent)


def _list_costs(run: Run, name: str) -> tuple[str, ...]:
    built, points = run.built.get(name), _list_points(run, name)
    graph = built.graph if built else None
    counts = (graph and graph.parameters, run.checkpoint and run.checkpoint.parameters)
    parameters = next((count for count in counts if isinstance(count, int)), None)
    macs = graph.macs if graph else None
    memory = [point.device_memory_bytes for point in points if point.device_memory_bytes is not None]
    joules = best_speeds(run)[name].joules_per_image if points else {}
    size = None if built is None else find_size(run, name, built)
    measured = run.measurements.get(name)
    compile_s = next((each.compile_s for each in (built, measured) if each and each.compile_s is not None), None)
    return (
        NOTHING if parameters is None else write_figures(parameters / 1e6),
        NOTHING if macs is None else write_figures(macs / 1e9),
        NOTHING if size is None else write_mebibytes(size),
        NOTHING if compile_s is None else write_figures(compile_s),
        write_figures(max(point.load_s for point in points)) if points else NOTHING,
        write_figures(max(point.first_inference_ms for point in points)) if points else NOTHING,
        write_mebibytes(max(point.peak_rss_bytes for point in points)) if points else NOTHING,
        write_mebibytes(max(memory)) if memory else NOTHING,
        *(write_figures(joules[meter]) if meter in joules else NOTHING for meter in METERS),
    )


def _explain_energy(run: Run) -> str:
    if not any(speed.joules_per_image for speed in best_speeds(run).values()):
        return "Energy was not measured."
    return (
        "Energy is that of a whole meter at the best batch size, with everything else that ran on it: all processors "
        "of the machine, a whole GPU board, or an NPU card."
    )


def _list_points(run: Run, name: str) -> list[Point]:
    """Those of the best batch size; none where speed was not measured."""
    best = best_speeds(run).get(name)
    measured = run.measurements.get(name)
    if best is None or measured is None:
        return []
    return [point for point in measured.points if point.setting == (best.scope, best.streams, best.latency.batch_size)]


def find_size(run: Run, name: str, built: EngineManifest) -> int | None:
    """Bytes of an engine's files, which are looked at but not read; None where one is missing."""
    folder = run.folder / "engines" / name
    paths = [folder / path for path in (*(model.path for model in built.files), *built.companions)]
    return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else None
