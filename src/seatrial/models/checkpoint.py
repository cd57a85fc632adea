"""A published checkpoint to canonical weights: the network's own names, float32, safetensors, with a manifest.

torch is imported inside the functions, so that a machine without it gets an error that names what to install.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import RefusedFile, UsageError
from seatrial.models.build import build_network, count_parameters, import_extra, sketch_network
from seatrial.models.known_hash import KnownHash, check_known
from seatrial.models.reading import AS_IT_IS, CheckpointReading
from seatrial.recipes.schema import Network, Recipe
from seatrial.store.files import hash_bytes, hash_file, manifest_path, replacing
from seatrial.store.records import CheckpointManifest

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """Weights with every key accounted for."""

    state: "Mapping[str, Tensor]"
    """In the network's own names and order, float32 (counts of batches int64), contiguous, in host memory."""
    manifest: CheckpointManifest
    """What they are; the sha256 of a stored file is empty."""


def load_checkpoint(
    path: Path, recipe: Recipe, known: KnownHash | None = None, reading: CheckpointReading = AS_IT_IS
) -> LoadedCheckpoint:
    """Read the recipe's weights from any of the formats and layouts we know; never runs code from the file.

    Args:
        known: the result of `check_known`, where it was called already.
        reading: what the user says of the file.

    Raises:
        UsageError: there is no such file, or the recipe's network cannot be built.
        RefusedFile: corrupt, unsafe, another network's, weights that are not finite numbers, or not the file that
            it should be by a checksum at hand (`models.known_hash`).
        EngineError: torch or timm is not installed.
    """
    sketch = sketch_network(recipe.network)
    from seatrial.models.account import check_fit, to_float32
    from seatrial.models.read_file import read_content

    wanted = sketch.state_dict()
    content = read_content(path)
    known = known or check_known(path, recipe)
    fitted = _fit_state(content, path, recipe.network, sketch, reading)
    check_fit(fitted.state, wanted, recipe.network, path)
    manifest = CheckpointManifest(
        recipe=recipe.name,
        network=recipe.network.name,
        source=str(path),
        source_sha256=known.sha256,
        sha256="",
        parameters=count_parameters(sketch),
        layout=fitted.layout,
        converted=fitted.converted,
        filled=tuple(key for key in wanted if key not in fitted.state),
        published=known.published,
        reading=describe_reading(recipe, reading),
    )
    return LoadedCheckpoint(to_float32(fitted.state, wanted, path), manifest)


@dataclass(frozen=True, slots=True)
class _FittedState:
    """A file's weights in the network's names, as far as these are known, and how they came to be."""

    state: "Mapping[str, Tensor]"
    layout: str
    converted: dict[str, tuple[str, ...]]


def _fit_state(
    content: Any, path: Path, network: Network, sketch: "nn.Module", reading: CheckpointReading
) -> _FittedState:
    from seatrial.models.account import find_difference
    from seatrial.models.adapt import adapt_state
    from seatrial.models.fit_names import fit_names
    from seatrial.models.layouts import find_state

    wanted = sketch.state_dict()
    found, layout = find_state(content, path, reading)
    state, names = fit_names(found, wanted, path, reading)
    adapted = adapt_state(state, network, sketch) if find_difference(state, wanted) else None
    if adapted is None:
        return _FittedState(state, ", ".join([layout, *names]), {})
    return _FittedState(adapted.state, ", ".join([layout, *names, adapted.how]), adapted.changed)


def describe_reading(recipe: Recipe, reading: CheckpointReading) -> dict[str, Any]:
    """What decides besides a file which weights are read from it, as its manifest has it; empty at the defaults."""
    chosen = {key: value for key, value in asdict(reading).items() if value is not None}
    arguments = recipe.network.model_dump(mode="json")["arguments"]
    return {**chosen, **({"arguments": arguments} if arguments else {})}


def store_checkpoint(loaded: LoadedCheckpoint, output: Path) -> CheckpointManifest:
    """Write the weights to `output` (a .safetensors file) and their manifest beside it.

    The same weights give the same bytes.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    with replacing(output) as temporary:
        manifest = loaded.manifest.model_copy(update={"sha256": save_weights(loaded.state, temporary)})
        manifest.save(manifest_path(temporary))
    return manifest


def save_weights(state: "Mapping[str, Tensor]", output: Path) -> str:
    """Write weights as a .safetensors file, whole or not at all, and return its sha256; the same give the same bytes.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    from safetensors.torch import save

    # safetensors' own save_file hides a full disk behind an error of its own.
    packed = save({name: tensor.cpu().contiguous() for name, tensor in state.items()})
    with replacing(output) as temporary:
        temporary.write_bytes(packed)
    return hash_bytes(packed)


def read_stored(path: Path, verified: bool = False) -> "dict[str, Tensor]":
    """The weights that `store_checkpoint` wrote to `path`.

    Args:
        verified: the caller has compared the file with its checksum.

    Raises:
        UsageError: there is no such file, or no manifest beside it.
        RefusedFile: the file is not the one that was stored.
        EngineError: torch is not installed.
    """
    import_extra("torch")
    from safetensors.torch import load_file

    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}", "`seatrial export` stores one")
    if not verified and hash_file(path) != CheckpointManifest.load(manifest_path(path)).sha256:
        raise RefusedFile(f"{path} is altered or cut off: checksum mismatch", "export the checkpoint again")
    return load_file(path)


def load_network(network: Network, path: Path, verified: bool = False) -> "nn.Module":
    """The network with the weights stored in `path`, in evaluation mode; arguments and errors as `read_stored`.

    Raises:
        RefusedFile: the weights are another network's.
    """
    built = build_network(network)
    from seatrial.models.account import check_fit

    state = read_stored(path, verified)
    check_fit(state, built.state_dict(), network, path)
    built.load_state_dict(state, strict=True)
    return built.eval()
