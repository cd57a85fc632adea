"""An EMULATOR of `ais_bench.infer.interface`, for tests: onnxruntime computes. It has not met hardware.

It checks device, chip, modes, gears and bytes as the real one does, and knows static and dymbatch models only.
"""

import os
import sys
from pathlib import Path
from typing import Any

import aclruntime
import numpy as np
import onnxruntime
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[2]))
from emulated_npu_smi import list_names
from emulated_om import load_om

from seatrial.data.preprocessing.apply_aipp import apply_aipp

EXECUTION_MS_PER_IMAGE = 0.5
COPY_MS_PER_BYTE = 1e-6
MODES = ("static", "dymbatch", "dymhw", "dymdims", "dymshape")


class InferSession:
    """An emulated model on an emulated device."""

    def __init__(
        self, device_id: int, model_path: str, acl_json_path: str | None = None, debug: bool = False, loop: int = 1
    ) -> None:
        names = list_names()
        if not 0 <= device_id < len(names):
            raise RuntimeError(f"[1][ACL: invalid device] open device {device_id} failed")
        # From C++, past Python's own stdout.
        os.write(1, b"[INFO] acl init success\n")
        self._om, graph = load_om(Path(model_path))
        if self._om.soc_version != f"Ascend{names[device_id]}":
            raise RuntimeError(f"[1][ACL: load model failed] the model is for {self._om.soc_version}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._summary = aclruntime.Summary()
        self._batch = self._om.batch

    def get_inputs(self) -> list[aclruntime.TensorDesc]:
        om = self._om
        size = om.image_bytes * max([om.batch, *om.gears])
        return [aclruntime.TensorDesc(om.input_name, om.input_type, "ND", [om.batch, *om.input_shape], size, size)]

    def get_outputs(self) -> list[aclruntime.TensorDesc]:
        output = self._session.get_outputs()[0]
        shape = [self._om.batch, output.shape[1]]
        size = abs(int(np.prod(shape))) * np.dtype(self._om.output_type).itemsize
        return [aclruntime.TensorDesc(f"{output.name}:0", self._om.output_type, "ND", shape, size, size)]

    def set_staticbatch(self) -> None:
        if self._om.gears:
            raise RuntimeError("the model has dynamic batch gears: set one")

    def set_dynamic_batchsize(self, dym_batch: int) -> None:
        if not self._om.gears:
            raise RuntimeError("not a dymbatch model!")
        if dym_batch not in self._om.gears:
            raise RuntimeError(f"batch {dym_batch} is no gear of {self._om.gears}")
        self._batch = dym_batch

    def infer(
        self, feeds: list[NDArray[Any]], mode: str = "static", custom_sizes: int = 100000, out_array: bool = True
    ) -> list[NDArray[Any]]:
        if mode not in MODES:
            raise RuntimeError(f"wrong infer_mode:{mode}, only support {MODES}")
        if len(feeds) != 1 or not feeds[0].flags.c_contiguous:
            raise RuntimeError("inputs and tensors nums not matched!")
        if mode == "static":
            self.set_staticbatch()
        elif mode == "dymbatch":
            self.set_dynamic_batchsize(feeds[0].shape[0])
        else:
            raise RuntimeError(f"not a {mode} model!")
        return [self._execute(feeds[0])]

    def summary(self) -> aclruntime.Summary:
        return self._summary

    def reset_summaryinfo(self) -> None:
        self._summary = aclruntime.Summary()

    def free_resource(self) -> None:
        os.write(1, b"[INFO] unload model success, model Id is 1\n")
        self._session = None

    def _execute(self, feed: NDArray[Any]) -> NDArray[Any]:
        """The runtime sees bytes: only their number is checked."""
        om = self._om
        if feed.nbytes != self._batch * om.image_bytes:
            raise RuntimeError(f"input size {feed.nbytes} is not {self._batch * om.image_bytes}")
        images: NDArray[Any] = np.frombuffer(feed.tobytes(), om.input_type).reshape(self._batch, *om.input_shape)
        if om.config is not None:
            images = apply_aipp(images, om.config, om.image_size)
        if images.dtype != np.uint8:
            images = (images.astype(np.float16) if om.half else images).astype(np.float32)
        logits = self._session.run(None, {om.input_name: images})[0]
        result = (logits.astype(np.float16) if om.half else logits).astype(om.output_type)
        aclruntime.MemorySummary.H2D_time_list.append(feed.nbytes * COPY_MS_PER_BYTE)
        aclruntime.MemorySummary.D2H_time_list.append(result.nbytes * COPY_MS_PER_BYTE)
        self._summary.exec_time_list.append(self._batch * EXECUTION_MS_PER_IMAGE)
        return result


class MemorySummary:
    """Times of copies."""

    @staticmethod
    def get_h2d_time_list() -> list[float]:
        return aclruntime.MemorySummary.H2D_time_list

    @staticmethod
    def get_d2h_time_list() -> list[float]:
        return aclruntime.MemorySummary.D2H_time_list

    @staticmethod
    def reset() -> None:
        aclruntime.MemorySummary().reset()
