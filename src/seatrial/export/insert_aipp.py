"""A graph of floats with an AIPP configuration in front: what `atc` makes of both, as ordinary nodes."""

import numpy as np

from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.input_pipeline import describe_behind_aipp, read_pipeline
from seatrial.evaluation.parity import check_outputs, check_parity, measure_parity
from seatrial.export.derived_graph import DerivedGraphJob, store_derived_graph
from seatrial.export.fuse_aipp import fuse_aipp
from seatrial.export.graph import run_graph
from seatrial.models.onnx_file import load_graph
from seatrial.store.records import GraphManifest

CHANGED = ("fused", "aipp", "host_steps", "preprocess_hash", "input")
"""What of a graph's manifest is another's behind a configuration."""


def make_aipp_graph(job: DerivedGraphJob, config: Aipp) -> GraphManifest:
    """Write the job's graph behind a configuration, compared with the graph that gets what the configuration computes.

    Args:
        job: its images are pixels as the configuration takes them.

    Raises:
        UsageError: the graph does not fit the configuration.
        ParityError: its predictions changed.
    """
    behind = describe_behind_aipp(job.manifest, config)
    before = load_graph(job.graph, job.manifest.output.name)
    made = fuse_aipp(before, config)
    size = job.manifest.input.shape[0]
    reference = run_graph(before, read_pipeline(behind).finish(np.asarray(job.images, dtype=np.uint8)), size)
    logits = run_graph(made, job.images, size)
    check_outputs(job.images, logits)
    parity = measure_parity("fuse AIPP", reference, logits)
    check_parity(parity)
    changes = {name: getattr(behind, name) for name in CHANGED}
    return store_derived_graph(made, job, {**changes, "parity": (*job.manifest.parity, parity)})
