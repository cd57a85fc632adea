"""A graph cut to the one output that the card takes, for engines that compile a file with all its outputs."""

import onnx
import onnx.utils

from seatrial.evaluation.parity import check_parity
from seatrial.export.derived_graph import DerivedGraphJob, check_ends, measure_change, store_derived_graph
from seatrial.models.onnx_file import load_graph, read_facts
from seatrial.store.records import GraphManifest


def make_one_output(job: DerivedGraphJob) -> GraphManifest:
    """Write the job's graph without its other outputs and what only they need.

    Raises:
        EngineError: its ends or its opset changed.
        ParityError: its predictions did.
    """
    ends = job.manifest.input, job.manifest.output
    whole = load_graph(job.graph, ends[1].name)
    cut: onnx.ModelProto = onnx.utils.Extractor(whole).extract_model(*([end.name] for end in ends))
    check_ends(read_facts(cut), read_facts(whole), job.manifest.opset)
    parity = measure_change("cut to one output", job, whole, cut)
    check_parity(parity[-1])
    return store_derived_graph(cut, job, {"parity": parity})
