"""What a bare install lacks: the extra that brings each optional library, and the one line that says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from seatrial.errors import EngineError

LIBRARIES = {
    "onnx": ("onnx", "trial"),
    "onnxslim": ("onnxslim", "trial"),
    "pyarrow": ("pyarrow", "trial"),
    "scipy": ("scipy", "trial"),
    "altair": ("altair", "report"),
    "vl_convert": ("vl-convert-python", "report"),
    "onnxruntime": ("onnxruntime", "cpu"),
    "torch": ("torch", "torch"),
    "torchvision": ("torchvision", "torch"),
    "timm": ("timm", "torch"),
    "onnxscript": ("onnxscript", "torch"),
    "safetensors": ("safetensors", "torch"),
    "openvino": ("openvino", "openvino"),
    "nncf": ("nncf", "openvino"),
    "tensorrt": ("tensorrt", "tensorrt"),
    "cuda": ("cuda-bindings", "tensorrt"),
    "transformers": ("transformers", "hf"),
    "huggingface_hub": ("huggingface-hub", "hf"),
    "ray": ("ray", "ray"),
    "mlperf_loadgen": ("mlcommons-loadgen", "mlperf"),
    "sklearn": ("scikit-learn", "demo"),
    "tensorboard": ("tensorboard", "track"),
    "mlflow": ("mlflow", "track"),
    "starlette": ("starlette", "ui"),
    "uvicorn": ("uvicorn", "ui"),
}
"""By the name that is imported: the distribution, as pyproject.toml has it, and the extra that brings it."""


DEMO = (
    "onnx",
    "onnxslim",
    "pyarrow",
    "scipy",
    "onnxruntime",
    "torch",
    "torchvision",
    "timm",
    "safetensors",
    "openvino",
    "sklearn",
)
"""What `seatrial demo` comes to, some of it after minutes; charts it can do without."""


def write_install(extra: str) -> str:
    """The command that adds an extra."""
    command = f"pip install 'seatrial[{extra}]'"
    # Who installs an engine next need not do it in two steps.
    return (
        f"{command}, or the extra of an engine, such as cpu or torch, which brings it" if extra == "trial" else command
    )


def explain_missing(library: str, purpose: str = "") -> EngineError:
    """The error for a row of `LIBRARIES` that is not installed.

    Args:
        purpose: behind "which": `makes fp16`.
    """
    distribution, extra = LIBRARIES[library]
    return EngineError(
        f"{distribution}, which {purpose}, is not installed" if purpose else f"{distribution} is not installed",
        write_install(extra),
    )


@contextmanager
def naming_extras(purpose: str = "") -> Iterator[None]:
    """Say of an optional library that is imported in the block, and is not installed, which extra brings it.

    Raises:
        EngineError: instead of ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in LIBRARIES:
            raise
        raise explain_missing(library, purpose) from None


def has_extra(extra: str) -> bool:
    """Whether all libraries of an extra are installed; imports none of them."""
    return all(find_spec(module) is not None for module, (_, owner) in LIBRARIES.items() if owner == extra)


def check_demo() -> None:
    """Refuse to begin the demo where it could not end.

    Raises:
        EngineError: names all that is missing and the extra `demo`, which brings it.
    """
    if missing := [LIBRARIES[module][0] for module in DEMO if find_spec(module) is None]:
        raise EngineError(
            f"the demo needs {', '.join(missing)}, not installed here",
            f"{write_install('demo')}, or for once: uvx --from 'seatrial[demo]' seatrial demo (in a clone: '.[demo]')",
        )
