"""Ascend as an engine: `atc` compiles, `ais_bench` runs."""

import shutil
from pathlib import Path

from seatrial.data.preprocessing.aipp import load_aipp
from seatrial.data.preprocessing.input_pipeline import describe_behind_aipp
from seatrial.engines.ascend.atc import LOG, clear_leftovers, plan_calls, read_back, run_atc
from seatrial.engines.ascend.machine import find_chip, probe_machine
from seatrial.engines.ascend.options import check_atc_options, list_files, uses_gears
from seatrial.engines.ascend.session import AscendSession, OmFile, TimedAscendSession
from seatrial.engines.base import (
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_device,
    check_executed,
    check_one_output,
    fix_ends,
)
from seatrial.engines.rebuild import write_rebuild
from seatrial.errors import EngineError
from seatrial.store.atc_build import BUILD, AtcBuild
from seatrial.store.records import GraphManifest


class AscendEngine:
    """Compiles ONNX graphs for Ascend NPUs with `atc` and runs them with `ais_bench`."""

    def probe(self) -> Capabilities:
        """What is here: driver, CANN and the two Python packages must all be."""
        return probe_machine()

    def compile(self, job: CompileJob) -> Built:
        """Compile one file for each batch size, or one with a gear for each.

        Raises:
            UsageError: an option is wrong, or `atc` refuses it.
            EngineError: something is missing, or `atc` fails or built another precision.
        """
        check_one_output(job)
        check_atc_options(job)
        graph = describe_graph(job)
        soc_version = job.options.get("soc_version") or find_chip(job.device).soc_version
        kept = [Path(shutil.copyfile(path, job.output / path.name)) for path in list_files(job.options).values()]
        files: list[tuple[int | None, Path]] = []
        executed: dict[str, int] = {}
        calls = plan_calls(job, soc_version)
        for call in calls:
            om = run_atc(call, job.output)
            executed = read_back(om, job.output)
            check_executed("ascend", job.precision, executed)
            files += [(size, om) for size in call.batch_sizes]
        clear_leftovers(job.output)
        commands = tuple(call.line for call in calls)
        AtcBuild(graph=str(job.graph.absolute()), soc_version=soc_version, commands=commands).save(job.output / BUILD)
        return Built(tuple(files), executed, (job.output / LOG, job.output / BUILD, *kept), graph)

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> AscendSession:
        """Load the file that serves `batch_size`; without one, a file with gears takes any.

        A session of one stream is `DeviceTimed`.

        Raises:
            EngineError: something is missing, or the file was built for another chip or CANN.
        """
        has = file.capabilities or self.probe()
        check_device(device, has)
        check_build(file, device, has.version)
        manifest = file.manifest
        path, size = file.pick(batch_size)
        gears = tuple(m.batch_size for m in manifest.files if m.batch_size) if uses_gears(manifest.options) else ()
        fixed = None if gears and batch_size is None else size
        om = OmFile(path, find_chip(device).device, *fix_ends(manifest, fixed), gears)
        return TimedAscendSession(om) if streams == 1 else AscendSession(om, streams)


def describe_graph(job: CompileJob) -> GraphManifest | None:
    """The graph as the `.om` runs it, where compiling changes its input: AIPP in front of it, or float16.

    Raises:
        UsageError: the AIPP configuration does not fit the network.
    """
    graph = job.manifest
    if "input_fp16_nodes" in job.options:
        return graph.model_copy(update={"input": graph.input.model_copy(update={"dtype": "float16"})})
    if "insert_op_conf" not in job.options:
        return None
    return describe_behind_aipp(graph, load_aipp(Path(job.options["insert_op_conf"])))


def check_build(file: EngineFile, device: str, version: str | None) -> None:
    """Refuse a file that was built for another chip or by another CANN.

    Raises:
        EngineError: names both, and the command that builds it for this one.
    """
    build, chip = AtcBuild.load(file.folder / BUILD), find_chip(device)
    if build.soc_version != chip.soc_version:
        problem = f"{file.folder} was built for {build.soc_version}, and {device} is {chip.soc_version}"
    elif file.manifest.sdk_version != version:
        problem = f"{file.folder} was built by {file.manifest.sdk_version}, and here is {version}"
    else:
        return
    # The device names the chip; files are taken from where they are kept.
    kept = {name: str(file.folder / path.name) for name, path in list_files(file.manifest.options).items()}
    options = {name: value for name, value in {**file.manifest.options, **kept}.items() if name != "soc_version"}
    again = file.manifest.model_copy(update={"options": options})
    raise EngineError(problem, write_rebuild(again, file.folder, device, build.graph))
