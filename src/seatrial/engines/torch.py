"""PyTorch: the network rebuilt from recipe and checkpoint, run eagerly in fp32. Parity is measured against it."""

import json
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from seatrial.data.feed import read_feed
from seatrial.engines.base import (
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_available,
    check_batch,
    check_device,
    check_options,
)
from seatrial.engines.cpu import count_threads
from seatrial.errors import RefusedFile
from seatrial.recipes.schema import Recipe
from seatrial.store.files import hash_file, link_or_copy
from seatrial.store.records import EngineManifest, GraphManifest, TensorSpec

if TYPE_CHECKING:
    import torch

OPTIONS = {"threads": "threads of one run; default: all cores over the streams"}


class TorchEngine:
    """Rebuilds the network in PyTorch; the graph's manifest says from which recipe and checkpoint."""

    def probe(self) -> Capabilities:
        """What is installed."""
        try:
            found = version("torch")
            version("timm")
        except PackageNotFoundError as error:
            hint = "pip install 'seatrial[torch]'"
            return Capabilities("torch", None, missing=f"{error.name} is not installed", install_hint=hint)
        return Capabilities("torch", found, ("cpu",), ("fp32",), free_batch=True)

    def compile(self, job: CompileJob) -> Built:
        """Keep the checkpoint; no ONNX is compiled.

        Raises:
            RefusedFile: the checkpoint is not the one that the graph was made from.
        """
        check_available(job, self.probe())
        check_options("torch", job.options, OPTIONS)
        count_threads(job.options)
        source = job.graph.parent / job.manifest.checkpoint
        if not source.is_file() or hash_file(source) != job.manifest.checkpoint_sha256:
            state = "is not the one that" if source.exists() else "is missing:"
            raise RefusedFile(f"checkpoint {source} {state} {job.graph.name} was made from", "export again")
        for suffix in ("", ".json"):
            link_or_copy(source.with_name(source.name + suffix), job.output / f"checkpoint.safetensors{suffix}")
        build_module(job.manifest, job.output / "checkpoint.safetensors")
        weights = job.output / "checkpoint.safetensors"
        return Built(((None, weights),), executed={}, companions=(weights.with_name(weights.name + ".json"),))

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> "TorchSession":
        """Build the network and load the weights."""
        check_device(device, self.probe())
        path, _ = file.pick(batch_size)
        threads = count_threads(file.manifest.options, streams)
        return TorchSession(build_module(file.manifest.graph, path), file.manifest, threads)


def build_module(graph: GraphManifest, checkpoint: Any) -> "torch.nn.Module":
    """The network in eval mode, behind the card's preprocessing tail when the graph has it."""
    import torch

    from seatrial.models.checkpoint import load_network

    recipe = Recipe.read(json.loads(json.dumps(graph.recipe)), "the graph's manifest")
    network = load_network(recipe.network, checkpoint)
    if not graph.fused or graph.aipp is not None:
        return network
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in recipe.normalisation)

    class Tail(torch.nn.Module):
        """(pixel − 255·mean) / (255·std) of uint8 (n, height, width, 3), then the network."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            images = pixels.permute(0, 3, 1, 2).float()
            logits: torch.Tensor = self.network((images - mean) / std)
            return logits

    return Tail().eval()


class TorchSession:
    """A network in eager mode; `run` may be called from several threads."""

    def __init__(self, module: "torch.nn.Module", manifest: EngineManifest, threads: int) -> None:
        import torch

        # The module takes any batch, also when the graph was exported with a fixed one.
        self.input = manifest.input.model_copy(update={"shape": (None, *manifest.input.shape[1:])})
        self.output: TensorSpec = manifest.output
        torch.set_num_threads(threads)
        self._torch: Any = torch
        self._module: Any = module
        # An AIPP configuration is computed in numpy, by the definition that its graph is held against.
        self._finish = read_feed(manifest.graph).finish if manifest.graph.aipp is not None else None

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        check_batch(batch, self.input)
        with self._torch.inference_mode():
            images = batch if self._finish is None else self._finish(batch)
            logits: NDArray[np.float32] = self._module(self._torch.from_numpy(images)).numpy()
        return logits

    def close(self) -> None:
        """Free the network."""
        self._module = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
