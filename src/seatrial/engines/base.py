"""The seam that every engine fits: probe, compile to a folder, open for running."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from seatrial.engines.rebuild import write_rebuild
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.store.files import Verified, hash_file
from seatrial.store.records import EngineManifest, EngineModel, GraphManifest, LayerPrecision, TensorSpec

MANIFEST = "engine.json"
PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "int8")
"""The precisions of all engines."""
LEAST_SHARE = 0.5
"""Least share of the computing layers that must run in the requested precision."""
WHOLE = ("int8", "int4")
"""Precisions that only a graph can bring: no engine takes them by itself."""
UNKNOWN = "unknown"
"""The precision of a layer that cannot be read; it never counts as the requested one."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do on this machine, found without raising."""

    engine: str
    version: str | None
    """None when the SDK is not installed."""
    devices: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    in_graph: tuple[str, ...] = ()
    """Precisions that must already be in the graph; `workflow` prepares it."""
    signed_int8: bool = False
    """Activations of an int8 graph must be int8: it has no uint8. `workflow` prepares it."""
    one_output: bool = False
    """A graph must have one output, as all are compiled. `workflow` prepares it."""
    free_batch: bool = False
    """An engine file may run any batch."""
    needs_network: bool = False
    """It rebuilds the network of a checkpoint, and a graph from elsewhere has none."""
    missing: str | None = None
    """Why it cannot be used; None where it can."""
    install_hint: str = ""
    """The command that installs what is missing."""
    hardware: tuple[str, ...] = ()
    """The model of each device, where a compiled file runs on no other."""


@dataclass(frozen=True, slots=True)
class GraphFile:
    """An ONNX file that is the one its manifest describes."""

    path: Path
    manifest: GraphManifest


@dataclass(frozen=True, slots=True)
class CompileJob:
    """What to make of a graph."""

    graph: Path
    """The ONNX file, its manifest beside it."""
    manifest: GraphManifest
    output: Path
    """The folder to fill; it exists and is empty."""
    batch_sizes: tuple[int, ...] = ()
    """One file for each; empty for a free batch."""
    precision: str = "fp32"
    device: str = "cpu"
    options: Mapping[str, str] = field(default_factory=dict)
    """The engine's own, checked by the engine."""
    capabilities: Capabilities | None = None
    """Of the engine; None where it was not probed yet."""


@dataclass(frozen=True, slots=True)
class Built:
    """What an engine read back from what it compiled."""

    files: tuple[tuple[int | None, Path], ...]
    """Batch size (None: any) and file, inside the job's folder."""
    executed: Mapping[str, int]
    """Layers by precision, as the SDK reports them; empty where it does not."""
    companions: tuple[Path, ...] = ()
    """Files that belong to those above, such as weights beside a topology."""
    graph: GraphManifest | None = None
    """The graph as the engine runs it, where compiling changed its input; None is the job's."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Chosen while compiling, where the job left them open and the engine is to be opened so."""
    notes: tuple[str, ...] = ()
    """What whoever reads its figures should know."""
    layers: tuple[LayerPrecision, ...] = ()
    """Each layer of `executed`, where the SDK names them."""


@dataclass(frozen=True, slots=True)
class EngineFile:
    """A compiled graph in its folder, with what a command knows of it and hands to the processes that it starts."""

    folder: Path
    manifest: EngineManifest
    verified: Mapping[str, Verified] = field(default_factory=dict, compare=False)
    """The folder's files, by name."""
    capabilities: Capabilities | None = field(default=None, compare=False)
    """Of its engine; None where it was not probed."""

    def verify(self) -> "EngineFile":
        """The same once every file was found to be the one that was built; one that is as it was is not hashed again.

        Raises:
            RefusedFile: a file is missing, cut off or altered.
        """
        files = list_files(self.manifest).items()
        return replace(
            self, verified={n: _verify(self.folder / n, sha256, self.verified.get(n)) for n, sha256 in files}
        )

    def pick(self, batch_size: int | None = None) -> tuple[Path, int | None]:
        """The file for a batch size, and the size it is fixed to (None: any).

        A batch that is smaller than the file's is padded by `run_padded`.
        """
        model = self.find(batch_size)
        return self.folder / model.path, model.batch_size

    def find(self, batch_size: int | None = None) -> EngineModel:
        """The exact file for a batch size, else a free one, else the smallest that is large enough or the largest."""
        fixed = {m.batch_size: m for m in self.manifest.files}
        model = fixed.get(batch_size) or fixed.get(None)
        if model is None:
            sizes = sorted(size for size in fixed if size is not None)
            wanted = batch_size or sizes[0]
            model = fixed[next((size for size in sizes if size >= wanted), sizes[-1])]
        return model


class Session(AbstractContextManager["Session", None], Protocol):
    """An opened engine file, closed at the end of its `with` block."""

    input: TensorSpec
    output: TensorSpec

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return logits (n, classes) of `batch`; blocks until they are in host memory.

        A session opened with `streams=N` may be called from N threads at once.

        Raises:
            UsageError: shape or dtype is not the session's input.
        """

    def close(self) -> None:
        """Free everything; harmless the second time."""


class Engine(Protocol):
    """A runtime that a graph can be compiled for."""

    def probe(self) -> Capabilities:
        """What it can do here; never raises for a missing SDK."""

    def compile(self, job: CompileJob) -> Built:
        """Fill the job's folder, for a device and in a precision that it has here.

        Raises:
            EngineError: the result is not what was requested.
            UsageError: an option that the engine does not have.
        """

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> Session:
        """Load the engine file that serves `batch_size`.

        Raises:
            EngineError: SDK or device is missing.
        """


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where one run spent its time, in milliseconds."""

    copy_in_ms: float
    device_ms: float
    copy_out_ms: float


@runtime_checkable
class DeviceTimed(Protocol):
    """A session that knows copy-in, device and copy-out time."""

    def run_timed(self, batch: NDArray[Any]) -> tuple[NDArray[np.float32], StageTimes]:
        """As `Session.run`, with its times."""


def check_batch(batch: NDArray[Any], spec: TensorSpec) -> None:
    """Refuse a batch that is not what the session takes.

    Raises:
        UsageError: shape or dtype is not `spec`'s.
    """
    fits = len(batch.shape) == len(spec.shape) and all(
        want is None or want == have for want, have in zip(spec.shape, batch.shape, strict=True)
    )
    if not fits or str(batch.dtype) != spec.dtype:
        wanted = "×".join("N" if size is None else str(size) for size in spec.shape)
        given = "×".join(str(size) for size in batch.shape)
        raise UsageError(
            f"input '{spec.name}' takes {spec.dtype} {wanted}, not {batch.dtype} {given}",
            "compile the engine for that batch size, or prepare the images for it",
        )


def fix_ends(graph: GraphManifest | EngineManifest, size: int | None) -> tuple[TensorSpec, TensorSpec]:
    """Input and output of a graph or an engine that takes `size` images at a time; None: any number."""
    return graph.input.model_copy(update={"shape": (size, *graph.input.shape[1:])}), graph.output


def run_padded(session: Session, batch: NDArray[Any]) -> NDArray[np.float32]:
    """Run a batch that may be smaller than the session's fixed one: pad with its first image, drop the padding."""
    return session.run(pad_batch(batch, session.input.shape[0]))[: len(batch)]


def pad_batch(batch: NDArray[Any], size: int | None) -> NDArray[Any]:
    """The batch, filled up with its first image to `size` images; None, or fewer than it has, leaves it as it is."""
    short = (size or 0) - len(batch)
    if short <= 0:
        return batch
    return np.concatenate([batch, np.broadcast_to(batch[:1], (short, *batch.shape[1:]))])


def check_executed(engine: str, precision: str, executed: Mapping[str, int], least: float = LEAST_SHARE) -> None:
    """Refuse an engine file that computes mostly in another precision than the requested one.

    Args:
        executed: computing layers by precision, `UNKNOWN` among them; empty where the SDK does not report it.
        least: share of all these layers that must run in `precision`.

    Raises:
        EngineError: counts the layers by precision.
    """
    if executed and executed.get(precision, 0) < least * sum(executed.values()):
        ran = ", ".join(f"{count} layers in {name}" for name, count in sorted(executed.items()))
        fix = "this device may lack it: take another --precision"
        if precision in WHOLE and precision in executed:
            fix = "take another engine, quantise more layers, or compile the float graph"
        raise EngineError(f"{engine} was requested in {precision} and computes {ran}", fix)


def check_options(engine: str, options: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Refuse an option that the engine does not have; `known` maps names to what they do.

    Raises:
        UsageError: lists the options there are.
    """
    for name in options:
        if name not in known:
            listed = ", ".join(f"{k} ({v})" for k, v in known.items()) or "none"
            raise UsageError(f"{engine} has no option '{name}'", f"its options: {listed}")


def read_switch(options: Mapping[str, str], name: str, default: bool) -> bool:
    """An option that is true or false.

    Raises:
        UsageError: it is something else.
    """
    text = options.get(name, str(default).lower())
    if text not in ("true", "false"):
        raise UsageError(f"option {name}={text} is neither true nor false", f"give {name}=true or {name}=false")
    return text == "true"


def check_one_output(job: CompileJob) -> None:
    """Refuse a graph with outputs that nobody takes, which was not prepared for an engine of `one_output`.

    Raises:
        UsageError: names them.
    """
    if job.manifest.left_out:
        others, own = ", ".join(job.manifest.left_out), job.manifest.output.name
        raise UsageError(
            f"{job.graph.name} has the outputs {others} besides {own}, which this engine does not leave out",
            f"`seatrial simplify {job.graph.name} OUT --output-name {own}` writes a graph without them",
        )


def check_precision(precision: str, has: Capabilities, start: str = "--precision ") -> None:
    """Refuse a precision that is not there; `start` stands before another where it is requested.

    Raises:
        EngineError: lists the precisions there are.
    """
    if precision not in has.precisions:
        raise EngineError(
            f"{has.engine} on this machine cannot run {precision}", f"take {_offer(start, has.precisions)}"
        )


def check_usable(has: Capabilities) -> None:
    """Refuse an engine that cannot be used here.

    Raises:
        EngineError: names what is missing and how to install it.
    """
    if has.missing is not None:
        raise EngineError(f"engine '{has.engine}' cannot be used: {has.missing}", has.install_hint)


def _offer(start: str, names: Sequence[str]) -> str:
    """`--precision fp32 or bf16`, or `openvino:fp32 or openvino:bf16`."""
    return start + (" or " if start.endswith(" ") else f" or {start}").join(names)


def check_device(device: str, has: Capabilities, start: str = "--device ") -> None:
    """Refuse a device that is not there; `start` as for `check_precision`.

    Raises:
        EngineError: lists the devices there are.
    """
    check_usable(has)
    if device not in has.devices:
        raise EngineError(f"{has.engine} has no device '{device}' here", f"take {_offer(start, has.devices)}")


def check_place(file: EngineFile, device: str, has: Capabilities) -> None:
    """Refuse a device that is not there, or a file that another version or another kind of device was built for.

    Raises:
        EngineError: names both builds and the command that builds it again.
    """
    check_device(device, has)
    manifest = file.manifest
    kinds = [name.partition(":")[0] for name in (manifest.device, device)]
    if manifest.sdk_version != has.version or kinds[0] != kinds[1]:
        built, here = f"{manifest.sdk_version} for {manifest.device}", f"{has.version} for {device}"
        raise EngineError(
            f"{file.folder} was built with {manifest.engine} {built}, this machine has {here}",
            f"build it again: `{write_rebuild(manifest, file.folder, device)}`",
        )


def read_engine(folder: Path | EngineFile, capabilities: Capabilities | None = None) -> EngineFile:
    """Read an engine folder and check that every file is the one that was built; one read already stays as it is.

    Args:
        capabilities: of its engine, where it was probed.

    Raises:
        UsageError: the folder is not an engine folder.
        RefusedFile: a file is missing, cut off or altered.
    """
    if isinstance(folder, EngineFile):
        return folder
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is no engine folder (it has no {MANIFEST})", "`seatrial compile` makes one")
    return EngineFile(folder, EngineManifest.load(folder / MANIFEST), capabilities=capabilities).verify()


def trust_built(folder: Path, manifest: EngineManifest, capabilities: Capabilities | None) -> EngineFile:
    """A folder that was just compiled: its files were hashed for its manifest."""
    verified = {name: Verified.of(folder / name, sha256) for name, sha256 in list_files(manifest).items()}
    return EngineFile(folder, manifest, verified, capabilities)


def list_files(manifest: EngineManifest) -> dict[str, str]:
    """The sha256 of every file of an engine folder, by name."""
    return {**{model.path: model.sha256 for model in manifest.files}, **manifest.companions}


def _verify(path: Path, sha256: str, known: Verified | None) -> Verified:
    if path.is_file():
        # Looked at before the hashing, so that a file that changes meanwhile is hashed again.
        found = Verified.of(path, sha256)
        if found == known or hash_file(path) == sha256:
            return found
    state = "altered or cut off" if path.exists() else "missing"
    raise RefusedFile(f"{path} is {state}", "compile it again with `seatrial compile`")
