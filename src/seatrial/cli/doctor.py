"""`seatrial doctor`."""

from dataclasses import asdict

from seatrial.cli.options import Json
from seatrial.cli.output.progress import print_json, print_lines, print_table


def doctor(as_json: Json = False) -> None:
    """List which engines can be used here, on which devices, in which precisions, and what is missing."""
    from seatrial.workflow.compile import probe_engines

    found = probe_engines()
    if as_json:
        print_json({"engines": [asdict(has) for has in found]})
        return
    rows = []
    for has in found:
        devices = [
            f"{d} ({h})" if h else d for d, h in zip(has.devices, has.hardware or [""] * len(has.devices), strict=True)
        ]
        batch = ("any" if has.free_batch else "fixed") if has.version else "–"
        inside = [f"{name}*" if name in has.in_graph else name for name in has.precisions]
        rows.append([has.engine, has.version or "–", ", ".join(devices) or "–", ", ".join(inside) or "–", batch])
    print_table(["engine", "version", "devices", "precisions", "batch"], rows, left=(0, 1, 2, 3, 4))
    if any(has.in_graph for has in found):
        print_lines("* in the graph: `seatrial compile` converts to fp16, `seatrial quantize` to int8")
    for has in found:
        if has.missing:
            print_lines(f"{has.engine}: {has.missing}; {has.install_hint}")
