"""Where the time of a whole evaluation goes: which of its workers wait, and which everything waits for."""

from seatrial.report.numbers import write_count, write_figures
from seatrial.report.tables import ENGINE, Column, Table, numbers
from seatrial.results.run_folder import Run
from seatrial.store.measurement import Throughput

BUSY = 0.9
"""Share of their time that workers are busy from which on everything waits for them."""


def make_time_spent(run: Run) -> Table:
    """How the time from files to predictions is shared between preparing images and running the engine."""
    rows = tuple(
        (
            name,
            write_count(pace.images),
            write_figures(pace.wall_s),
            write_figures(pace.images_per_s),
            write_figures(1000 * pace.decode_s / pace.images),
            write_figures(100 * find_share(pace.decode_s, pace, pace.decode_workers)),
            write_figures(1000 * pace.run_s / pace.images),
            write_figures(100 * find_share(pace.run_s, pace, pace.streams)),
            name_bottleneck(pace),
        )
        for name, pace in run.throughput.items()
        if pace.images and pace.wall_s > 0
    )
    columns = (
        ENGINE,
        *numbers("Images", "Seconds", "Images/s", "Decode, ms an image", "Decode workers busy, %"),
        *numbers("Engine, ms an image", "Streams busy, %"),
        Column("Waits for"),
    )
    note = (
        "The whole evaluation, from image files to stored predictions. Decode: reading, decoding and resizing, of all "
        "decode workers together. Engine: copying images in, running and copying logits out, of all streams together. "
        "Both run at the same time, so the two are no parts of one sum; copying and ranking are not stored apart."
    )
    absent = "The times of the evaluation are not stored in this run."
    return Table("Where the time goes", note, columns, rows, absent)


def find_share(busy_s: float, pace: Throughput, workers: int) -> float:
    """Share 0..1 of the time of all such workers in which they worked."""
    return min(1.0, busy_s / (pace.wall_s * workers * pace.sessions))


def name_bottleneck(pace: Throughput) -> str:
    """Whatever is busy nearly all the time, if anything is."""
    shares = {
        "decoding": find_share(pace.decode_s, pace, pace.decode_workers),
        "the engine": find_share(pace.run_s, pace, pace.streams),
    }
    busiest = max(shares, key=lambda name: shares[name])
    if min(shares.values()) >= BUSY:
        return "both"
    return busiest if shares[busiest] >= BUSY else "processors or start-up"
