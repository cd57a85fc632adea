"""The command that compiles an engine again, which errors name."""

import shlex
from pathlib import Path

from seatrial.store.command_line import write_words
from seatrial.store.records import EngineManifest


def write_rebuild(manifest: EngineManifest, folder: Path, device: str, graph: str = "GRAPH.onnx") -> str:
    """The command that compiles the same engine again; most engines do not know the path of the graph."""
    sizes = ",".join(str(m.batch_size) for m in manifest.files if m.batch_size is not None) or "dynamic"
    options = [f"{name}={value}" for name, value in manifest.options.items() if name not in manifest.chosen]
    words = write_words(
        "compile",
        graph,
        engine=manifest.engine,
        precision=manifest.precision,
        batch_size=sizes,
        device=device,
        option=options,
        output=folder,
    )
    return shlex.join(words)
