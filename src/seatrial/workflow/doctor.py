"""`seatrial doctor`: whether something can work on this machine, and if not, at which step and what mends it."""

import importlib.metadata
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from seatrial.data.check import check_data
from seatrial.data.classes import UNKNOWN, Classes
from seatrial.data.label_files import read_image_labels
from seatrial.data.labels import check_folder, find_annotations, find_class_folders, list_images, name_images
from seatrial.engines import get_engine
from seatrial.engines.base import PRECISIONS, Capabilities
from seatrial.errors import ExitCode, SeatrialError
from seatrial.extras import write_install
from seatrial.machine.cpu import count_cores, has_fast_bf16
from seatrial.machine.environment import find_version
from seatrial.machine.nvidia import count_gpus
from seatrial.models.sources import resolve_recipe
from seatrial.progress import Progress, silent
from seatrial.store.files import cache_folder
from seatrial.strict import check_name
from seatrial.workflow.compile import split_engine
from seatrial.workflow.try_engine import try_engine

LEAST_FREE_BYTES = 2**30
"""Less free space than this is worth a word: a graph, its engines and an evaluation take some hundred MB."""
MOST_CLASSES = 10**6
"""Numbers above are no classes."""
HOSTS = {"https://huggingface.co": "hf: and most of timm:", "https://download.pytorch.org": "torchvision:"}
"""Where weights are downloaded from, and whose they are."""
TIMEOUT_S = 5.0
_FLOOR = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?>=([\d.]+)")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    topic: str
    ok: bool
    found: str
    fix: str = ""
    """What mends it; empty where nothing is wrong."""
    code: ExitCode = ExitCode.PASS
    """Of what was asked for and cannot work."""


def check_engine_here(text: str) -> Iterator[Check]:
    """Whether `NAME[:PRECISION][@DEVICE]` can work here, step by step up to the first that fails.

    At the end a small graph is compiled and run, where the engine takes one from elsewhere.

    Raises:
        UsageError: there is no such engine or precision.
    """
    name, precision, device = split_engine(text)
    engine = get_engine(name)
    if precision:
        check_name(precision, PRECISIONS, f"there is no precision '{precision}' ({', '.join(PRECISIONS)})")
    has = engine.probe()
    if has.version is None or has.missing is not None:
        yield _fail("installation", has.missing or f"{name} is not installed", has.install_hint)
        return
    yield Check("installation", True, f"{name} {has.version}")
    device = device or has.devices[0]
    if device not in has.devices:
        yield _explain_device(device, has)
        return
    hardware = dict(zip(has.devices, has.hardware, strict=False)).get(device, "")
    yield Check("device", True, f"{device}{f' ({hardware})' if hardware else ''}")
    precision = precision or has.precisions[0]
    if precision not in has.precisions:
        yield _explain_precision(precision, device, has)
        return
    verb = {"fp16": "`seatrial compile` converts it", "int8": "`seatrial quantize` makes it"}.get(precision, "")
    inside = f", which must be in the graph: {verb}" if precision in has.in_graph and verb else ""
    yield Check("precision", True, f"{precision}{inside}")
    yield _try(name, precision, device, has)


def _fail(topic: str, found: str, fix: str) -> Check:
    return Check(topic, False, found, fix, ExitCode.ENGINE)


def _explain_device(device: str, has: Capabilities) -> Check:
    """Why a device is not there: no such hardware or driver, or an SDK that was built without it."""
    there = f"{has.engine} {has.version} has {', '.join(has.devices)}"
    fix = f"take {' or '.join(f'{has.engine}@{known}' for known in has.devices)}"
    kind = device.casefold().partition(":")[0]
    if (has.engine, kind) in DRIVERS:
        return _fail("device", f"{_find_cause(has, kind)}, so there is no '{device}'", DRIVERS[has.engine, kind])
    if kind not in ("cuda", "tensorrt"):
        near = f"take {has.engine}@{device.casefold()}" if device.casefold() in has.devices else fix
        return _fail("device", f"there is no device '{device}': {there}", near)
    gpus = count_gpus()
    if gpus == 0:
        return _fail(
            "device", f"the driver lists no NVIDIA GPU, so there is no '{device}'", "`nvidia-smi` must list one"
        )
    if len(has.devices) > 1:
        return _fail("device", f"the driver lists {gpus} GPUs, and none of them is '{device}': {there}", fix)
    builds = {
        "torch": "install a build of torch with CUDA: https://pytorch.org/get-started",
        "onnxruntime": f"pip uninstall onnxruntime && {write_install('gpu')}",
    }
    built = f"the driver lists {gpus} GPUs, but this build of {has.engine} {has.version} uses none"
    return _fail("device", built, builds.get(has.engine, fix))


DRIVERS = {
    ("torch", "npu"): "install the torch_npu that fits this torch and CANN; `npu-smi info` must list the NPU",
    ("openvino", "gpu"): "install Intel's driver for GPU computing (compute-runtime); `clinfo` must list the GPU",
    ("openvino", "npu"): "install Intel's NPU driver (linux-npu-driver); /dev/accel must have it",
}
"""What brings a kind of device to an engine."""


def _find_cause(has: Capabilities, kind: str) -> str:
    """Why an engine has no device of a kind, or not the one of that number."""
    there = [name for name in has.devices if name.partition(":")[0] == kind]
    if there:
        return f"{has.engine} {has.version} has {', '.join(there)}"
    if has.engine == "torch" and find_version("torch_npu") is None:
        return "torch_npu, which brings NPUs to torch, is not installed"
    return f"{has.engine} {has.version} finds no {kind.upper()}: there is none, or its driver is missing"


def _explain_precision(precision: str, device: str, has: Capabilities) -> Check:
    fix = f"take {' or '.join(f'{has.engine}:{known}' for known in has.precisions)}"
    if precision == "bf16" and device == "cpu" and not has_fast_bf16():
        return _fail("precision", "this CPU has no bf16 arithmetic (avx512_bf16, amx_bf16 or Arm's bf16)", fix)
    if precision == "fp16" and has.engine == "openvino":
        found = f"openvino {has.version} computes in fp16 on no device here; a CPU does with avx512_fp16"
        return _fail("precision", found, fix)
    if precision == "int8" and has.engine == "torch":
        return _fail("precision", "torch runs no int8 here", "take onnxruntime:int8 or openvino:int8")
    return _fail("precision", f"{has.engine} {has.version} runs no {precision} on this machine", fix)


def _try(name: str, precision: str, device: str, has: Capabilities) -> Check:
    if has.needs_network:
        return Check("trial", True, f"not tried: {name} builds a network from its weights, as `seatrial compile` does")
    if precision in has.in_graph:
        return Check("trial", True, f"not tried: a graph in {precision} is needed first")
    try:
        took_s = try_engine(name, precision, device, has)
    except SeatrialError as error:
        return _fail("trial", f"a small graph does not run: {error.problem}", error.fix or "")
    return Check("trial", True, f"a small graph was compiled and run in {took_s:.1f} s")


def check_set(images: Path, labels: Path | None, recipe: str | None, progress: Progress = silent) -> Iterator[Check]:
    """Whether a labelled set can be read, every image of it.

    Args:
        recipe: whose classes the labels are; None: any.
    """
    try:
        if labels is None and _is_flat(images):
            found = f"{images} has images and no class folders, and nothing says what they show"
            yield Check("data", False, found, "give --labels FILE (docs/data.md has its forms)", ExitCode.DATA)
            return
        classes = _count_classes(images, labels) if recipe is None else Classes.of(resolve_recipe(recipe))
        findings = check_data(images, labels, classes, decode_workers=count_cores(), progress=progress)
    except SeatrialError as error:
        yield Check("data", False, error.problem, error.fix or "", error.exit_code)
        return
    given = f"--images {images}{f' --labels {labels}' if labels else ''}"
    words = (
        "give --recipe, the model reference, and the command that lists all is here"
        if recipe is None
        else f"`seatrial data check {recipe} {given}` has all"
    )
    for finding in findings:
        shown = f"{finding.text}{f', such as {finding.examples[0]}' if finding.examples else ''}"
        wrong = finding.level == "error"
        yield Check("data", not wrong, shown, words if wrong else "", ExitCode.DATA if wrong else ExitCode.PASS)
    if not findings:
        yield Check("data", True, f"every image of {images} can be read, and has a label")


def _is_flat(images: Path) -> bool:
    """Whether a folder has images of its own, and neither class folders nor a label file among them."""
    if not images.is_dir() or find_annotations(images, silent) is not None:
        return False
    return not find_class_folders(images)[1] and bool(list_images(images, notify=lambda line: None))


def _count_classes(images: Path, labels: Path | None) -> Classes:
    """As many classes as the labels name, of a network that nobody named."""
    file = labels or find_annotations(images, silent)
    if file is None:
        return Classes.of(max(1, len(find_class_folders(images)[1])))
    check_folder(images)
    names = name_images(images, list_images(images, notify=lambda line: None)).keys()
    highest = max(read_image_labels(file, names, UNKNOWN).values(), default=0)
    return Classes.of(min(MOST_CLASSES, max(0, highest) + 1))


def check_disk() -> Iterator[Check]:
    """Free space where a run, the cache and temporary files are written."""
    places = {"here": Path(), "the cache": cache_folder(), "temporary files": Path(tempfile.gettempdir())}
    for name, path in places.items():
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        free = shutil.disk_usage(there).free
        little = free < LEAST_FREE_BYTES
        fix = (
            "make room, or choose another --output" if name == "here" else "make room, or set XDG_CACHE_HOME or TMPDIR"
        )
        yield Check("disk", not little, f"{free / 2**30:.1f} GiB free for {name} ({there})", fix if little else "")


def check_versions() -> Iterator[Check]:
    """Whether what is installed is as new as seatrial needs."""
    try:
        needed = importlib.metadata.requires("seatrial") or []
    except importlib.metadata.PackageNotFoundError:
        needed = []
    old = []
    for line in needed:
        floor = _FLOOR.match(line)
        found = None if floor is None else find_version(floor[1])
        if floor is not None and found is not None and _read_numbers(found) < _read_numbers(floor[2]):
            old.append(f"{floor[1]} {found} is older than {floor[2]}")
            yield Check("versions", False, old[-1], f"pip install '{floor[1]}>={floor[2]}'")
    if not old:
        yield Check("versions", True, f"seatrial {find_version('seatrial') or 'from its source'}, and what it needs")


def _read_numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def check_network(hosts: dict[str, str] = HOSTS) -> Iterator[Check]:
    """Whether the hosts of published weights answer; whatever they answer counts."""
    for address, whose in hosts.items():
        try:
            with urlopen(Request(address, method="HEAD"), timeout=TIMEOUT_S):
                pass
        except HTTPError:
            pass
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            fix = "set HTTPS_PROXY where there is a proxy, or bring the weights by hand and give --checkpoint"
            yield _fail("network", f"{address} ({whose}) does not answer: {reason}", fix)
            continue
        yield Check("network", True, f"{address} ({whose}) answers")
