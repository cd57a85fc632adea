"""PyTorch: the network rebuilt from recipe and checkpoint, eager or compiled. The reference is its eager fp32."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines.base import (
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_executed,
    check_options,
    check_place,
    fix_ends,
)
from seatrial.engines.runtime import Runtime
from seatrial.engines.torch.plan import OPTIONS, TorchPlan, make_plan
from seatrial.errors import EngineError, RefusedFile, UsageError, first_line
from seatrial.extras import write_install
from seatrial.machine.cpu import has_fast_bf16, read_threads
from seatrial.machine.environment import find_version
from seatrial.machine.nvidia import count_gpus
from seatrial.recipes.schema import Recipe
from seatrial.store.files import hash_file, link_or_copy, manifest_path
from seatrial.store.records import GraphManifest

if TYPE_CHECKING:
    import torch

    from seatrial.engines.torch.session import TorchSession

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
LIBRARIES = ("timm", "torchvision")
"""Builders whose networks need nothing else."""


class TorchEngine:
    """Rebuilds the network in PyTorch; the graph's manifest names recipe and checkpoint."""

    def probe(self) -> Capabilities:
        """What is installed; GPUs are counted by their driver, so that nothing is imported."""
        found = find_version("torch")
        if found is None or find_version("timm") is None:
            missing, hint = f"{'timm' if found else 'torch'} is not installed", write_install("torch")
            return Capabilities("torch", None, missing=missing, install_hint=hint)
        count = 0 if found.endswith("+cpu") else count_gpus()
        gpus = tuple(f"cuda:{index}" for index in range(count))
        devices = ("cpu", *gpus, *_list_npus())
        precisions = (
            ("fp32", "bf16", "fp16") if len(devices) > 1 else ("fp32", "bf16") if has_fast_bf16() else ("fp32",)
        )
        return Capabilities("torch", found, devices, precisions, free_batch=True, needs_network=True)

    def compile(self, job: CompileJob) -> Built:
        """Keep the checkpoint and build the network once; no ONNX is compiled.

        Raises:
            RefusedFile: the checkpoint is not the one that the graph was made from.
            EngineError: the device or precision is not there, or torch.compile fails.
        """
        check_options("torch", job.options, OPTIONS)
        if job.manifest.precision != "fp32":
            raise UsageError(
                f"{job.graph.name} is an {job.manifest.precision} graph, and torch rebuilds the network in fp32",
                "compile the fp32 graph that it was made from",
            )
        if job.precision == "fp16" and job.device == "cpu":
            raise EngineError("torch on the CPU runs no fp16 worth measuring", "take bf16, or a GPU")
        source = job.graph.parent / job.manifest.checkpoint
        if not source.is_file() or hash_file(source) != job.manifest.checkpoint_sha256:
            state = "has changed since" if source.exists() else "is missing:"
            problem = f"checkpoint {source} {state} {job.graph.name} was made from it"
            raise RefusedFile(problem, "keep graph, manifest and weights together under their names, or export again")
        for suffix in ("", ".json"):
            link_or_copy(source.with_name(source.name + suffix), job.output / f"checkpoint.safetensors{suffix}")
        weights = job.output / "checkpoint.safetensors"
        plan = make_plan(job.precision, job.options, job.device)
        size = job.batch_sizes[0] if job.batch_sizes else None
        with _open_session(plan, job.manifest, weights, size, verified=True) as session:
            executed = session.count_executed()
        check_executed("torch", job.precision, executed)
        return Built(((None, weights),), executed, companions=(manifest_path(weights),))

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> TorchSession:
        """Build the network and load the weights; a compiled one is fixed to `batch_size`."""
        check_place(file, device, file.capabilities or self.probe())
        path, _ = file.pick(batch_size)
        manifest = file.manifest
        plan = make_plan(manifest.precision, manifest.options, device, streams)
        return _open_session(plan, manifest.graph, path, batch_size, path.name in file.verified)

    def describe_runtime(self, file: EngineFile) -> Runtime:
        """Whose network it is, how it is run, and the preprocessing tail.

        Raises:
            EngineError: the network is of code that comes with no library, or is compiled when it is opened.
        """
        manifest = file.manifest
        recipe = Recipe.read(manifest.graph.recipe, "the graph's manifest")
        plan, network = make_plan(manifest.precision, manifest.options, manifest.device), recipe.network
        if network.builder not in LIBRARIES:
            raise EngineError(
                f"a network of builder '{network.builder}' needs that code beside it, and a package has none",
                f"package another engine of the run, or a network of {' or '.join(LIBRARIES)}",
            )
        if plan.compiled or plan.cuda_graphs:
            raise EngineError(
                "torch with mode=compiled or cuda_graphs=true compiles when it is opened, which no package does",
                "package the engine with mode=eager, or another engine of the run",
            )
        mean, std = recipe.normalisation
        settings = {
            "builder": network.builder,
            "network": network.name,
            "arguments": network.model_dump(mode="json")["arguments"],
            "classes": network.classes,
            "device": plan.device,
            "dtype": DTYPES[plan.precision],
            "channels_last": plan.channels_last,
            "threads": read_threads(manifest.options),
            "mean": list(mean),
            "std": list(std),
        }
        # timm cannot be imported without torchvision.
        libraries = ("torchvision", "timm") if network.builder == "timm" else ("torchvision",)
        return Runtime(settings, ("torch", *libraries, "safetensors"))


def build_module(graph: GraphManifest, checkpoint: Path, plan: TorchPlan, verified: bool = False) -> torch.nn.Module:
    """The network in eval mode on its device, behind the card's preprocessing tail when the graph has it.

    Args:
        verified: the checkpoint was compared with its checksum.
    """
    import torch

    from seatrial.models.checkpoint import load_network

    recipe = Recipe.read(graph.recipe, "the graph's manifest")
    dtype = getattr(torch, DTYPES[plan.precision])
    memory = torch.channels_last if plan.channels_last else torch.contiguous_format
    network = load_network(recipe.network, checkpoint, verified).to(plan.device, dtype).to(memory_format=memory)
    # An AIPP configuration is computed in numpy, by the definition that its graph is compared with.
    takes_pixels = graph.fused and graph.aipp is None
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) * 255 for values in recipe.normalisation)

    class Whole(torch.nn.Module):
        """(pixel − 255·mean) / (255·std) of uint8 NHWC in fp32, then the network; fp32 logits."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.mean = torch.nn.Buffer(mean)
            self.std = torch.nn.Buffer(std)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if takes_pixels:
                images = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
            logits: torch.Tensor = self.network(images.to(dtype, memory_format=memory))
            return logits.float()

    return Whole().to(plan.device).eval()


def _open_session(
    plan: TorchPlan, graph: GraphManifest, weights: Path, batch_size: int | None, verified: bool = False
) -> TorchSession:
    from seatrial.engines.torch.session import AcceleratorSession, TorchSession

    if plan.device != "cpu":
        _check_usable(plan.device)
    finish = read_pipeline(graph).finish if graph.aipp is not None else None
    module = build_module(graph, weights, plan, verified)
    kind = TorchSession if plan.device == "cpu" else AcceleratorSession
    # The module takes any batch, whatever the graph was exported for; what is compiled or recorded takes one.
    fixed = plan.compiled or plan.cuda_graphs
    size = (batch_size or graph.input.shape[0] or 1) if fixed else None
    return kind(module, plan, fix_ends(graph, size), finish)


def _check_usable(device: str) -> None:
    """Touch the device once.

    Raises:
        EngineError: this build of PyTorch cannot use it: it is for another driver or kind of device.
    """
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EngineError(
            f"torch {torch.__version__} cannot use {device} ({first_line(error)})",
            "install the build for it: see pytorch.org",
        ) from None


def _list_npus() -> tuple[str, ...]:
    """Ascend devices, where Ascend's adapter for PyTorch is installed."""
    try:
        import torch_npu
    except ImportError:
        return ()
    return tuple(f"npu:{index}" for index in range(torch_npu.npu.device_count()))
