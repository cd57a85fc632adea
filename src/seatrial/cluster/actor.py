"""An actor of Ray's. The process that talks to Ray imports this file too, and nothing that evaluates with it."""

import threading
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from seatrial.cluster.engine_folder import PackedEngine
    from seatrial.cluster.evaluator import Evaluator
    from seatrial.errors import SeatrialError


class EvaluatorActor:
    """An `Evaluator` that begins before there is a job, and whose errors are values.

    An exception would arrive as Ray's, and begun anew the actor gets no word but the next chunk.
    """

    def __init__(self) -> None:
        import seatrial.cluster.evaluator  # noqa: F401  (takes a while, in which there is no job yet)

        self._evaluator: Evaluator | SeatrialError | None = None
        self._opening = threading.Lock()

    def wait_until_alive(self) -> None:
        """Return as soon as there is a process."""

    def predict(self, work: list[Any], chunk: bytes) -> bytes:
        """Run a pickled `Chunk`; the first opens the engine.

        Args:
            work: one reference to the pickled `Brief` and a reference to the `PackedEngine`.

        Returns:
            The pickled `Outcome` or `SeatrialError`.
        """
        import ray

        from seatrial.cluster.evaluator import open_evaluator, run_chunk

        with self._opening:
            if self._evaluator is None:
                brief, packed = ray.get(work[0])
                self._evaluator = open_evaluator(brief, lambda: cast("PackedEngine", ray.get(packed)))
        return run_chunk(self._evaluator, chunk)
