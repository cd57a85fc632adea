"""A torch network to an ONNX graph whose opset, names and batch axis are the requested ones."""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch

from seatrial.errors import EngineError, first_line
from seatrial.export.graph import check_facts, load_graph, read_facts
from seatrial.export.spec import ExportSpec
from seatrial.recipes.schema import Recipe


def to_onnx(network: torch.nn.Module, recipe: Recipe, spec: ExportSpec, path: Path) -> onnx.ModelProto:
    """Export to `path` and read it back. The input is float32 (n, 3, height, width), already normalised.

    Raises:
        EngineError: the exporter fails, or writes something else than was requested.
    """
    example = torch.zeros(spec.batch_size or 2, 3, *recipe.input_size)
    names = (recipe.graph.input, recipe.graph.output)
    free = spec.batch_size is None
    try:
        # On failure the exporter prints the whole graph, and stdout is for results.
        with warnings.catch_warnings(), torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):
            # The exporter announces its own retirement, and an opset beyond its table; the file is read back below.
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                network.eval(),
                (example,),
                str(path),
                dynamo=spec.exporter == "dynamo",
                opset_version=spec.opset,
                input_names=[names[0]],
                output_names=[names[1]],
                external_data=False,
                verbose=False,
                dynamic_axes={name: {0: "batch"} for name in names}
                if free and spec.exporter == "torchscript"
                else None,
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) if free and spec.exporter == "dynamo" else None,
            )
    except (RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError, ImportError) as error:
        raise EngineError(
            f"exporter {spec.exporter} failed at opset {spec.opset} ({first_line(error)})",
            "try another --opset or --exporter",
        ) from None
    model = load_graph(path)
    check_facts(read_facts(model), spec.opset, names, spec.batch_size)
    return model
