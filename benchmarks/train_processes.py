"""One training on several processes: the same losses, every held-out image counted once, and a machine that is killed.

    python benchmarks/train_processes.py [curves eight elastic] --folder WORK [--picture FILE.png]

- curves: 50 steps on one process and on two, the same images in each step, a network without BatchNorm in fp32; prints
  how far their losses lie apart and draws both curves;
- eight: eight processes over gloo on the demo's digits, a small network; prints what the validation counted;
- elastic: two "machines" (torchrun agents over loopback), one of which is killed and started again; prints how
  the training ended and whether its weights are those of one that nobody disturbed.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import altair
import numpy as np
import psutil
from safetensors.numpy import load_file

from seatrial.data.demo import make_demo

SEATRIAL = [sys.executable, "-m", "seatrial"]
SMALL = "test_resnet"
WITHOUT_NORM = "test_convnext"
"""It has LayerNorm, which knows nothing of other images."""


def write_card(folder: Path, network: str) -> Path:
    """The demo's card for another network of timm's."""
    data = make_demo(folder / "data")
    card = folder / f"{network}.toml"
    text = data.card.read_text(encoding="utf-8").replace('name = "resnet50"', f'name = "{network}"')
    lines = [line for line in text.splitlines() if not line.startswith(("parameters", "classifier_rate"))]
    card.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return card


def train(card: Path, output: Path, *more: str) -> dict[str, object]:
    """Run the command; its record."""
    words = ["train", str(card), "--data", str(card.parent / "data"), "--output", str(output), "--amp", "off", "--json"]
    ran = subprocess.run([*SEATRIAL, *words, *more], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def read_losses(output: Path) -> list[float]:
    """Of each step."""
    lines = (output / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return [event["loss"] for event in map(json.loads, lines) if event["event"] == "step"]


def print_curves(folder: Path, picture: Path | None) -> None:
    """The losses of one and of two processes."""
    card = write_card(folder, WITHOUT_NORM)
    losses = {}
    for processes in (1, 2):
        output = folder / f"curve-{processes}"
        more = ("--epochs", "1", "--batch-size", "24", "--max-train-steps", "50", "--learning-rate", "0.01", "--force")
        train(card, output, *more, "--nproc", str(processes))
        losses[processes] = read_losses(output)
    apart = np.abs(np.subtract(losses[1], losses[2]))
    print(f"curves: {WITHOUT_NORM}, 64 px digits, fp32, {len(losses[1])} steps of 24 images")
    print(f"  losses of 1 and 2 processes lie at most {apart.max():.1e} apart, {np.median(apart):.1e} in the median")
    print(f"  from {losses[1][0]:.4f} to {losses[1][-1]:.4f} and {losses[2][-1]:.4f}")
    if picture is not None:
        draw(losses, picture)


def draw(losses: dict[int, list[float]], picture: Path) -> None:
    """Both curves, the second dashed so that the first shows under it."""
    rows = [
        {"step": step + 1, "loss": loss, "processes": f"{processes}"}
        for processes, curve in losses.items()
        for step, loss in enumerate(curve)
    ]
    kinds = altair.StrokeDash("processes:N", scale=altair.Scale(domain=["1", "2"], range=[[1, 0], [5, 5]]))
    chart = altair.Chart(
        altair.Data(values=rows), width=560, height=300, title="The same training on 1 and 2 processes"
    )
    loss = altair.Y("loss:Q", scale=altair.Scale(zero=False))
    chart.mark_line().encode(x="step:Q", y=loss, color="processes:N", strokeDash=kinds).save(
        str(picture), scale_factor=2
    )


def print_eight(folder: Path) -> None:
    """Eight processes and an odd number of held-out images."""
    card = write_card(folder, SMALL)
    held_out = len((folder / "data" / "val_label.txt").read_text(encoding="utf-8").splitlines())
    record = train(card, folder / "eight", "--epochs", "3", "--batch-size", "64", "--nproc", "8", "--force")
    validation = record["validation"]
    assert isinstance(validation, dict)
    counted = f"counted {validation['images']} of {held_out} held-out images,"
    print(f"eight: {SMALL}, 8 processes over gloo, 3 epochs: {counted}")
    print(f"  top-1 {validation['top1']:.4f} = {validation['top1'] * held_out:.6g} of them")
    single = train(card, folder / "eight", "--evaluate")["validation"]
    assert isinstance(single, dict)
    print(f"  one process that validates the same weights: {single['images']} images, top-1 {single['top1']:.4f}")


def start_machine(card: Path, output: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """One of two machines: a torchrun agent with one process, in a process group of its own."""
    agent = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    agent += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id", "trial"]
    words = ["-m", "seatrial", "train", str(card), "--data", str(card.parent / "data"), "--output", str(output)]
    with log.open("ab") as file:
        return subprocess.Popen(
            [*agent, "--max-restarts", "3", *words, "--amp", "off", *ELASTIC],
            stdout=file, stderr=file, env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip


ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""The second for torchrun: with a shared store (torch 2.15), an agent that was there before never tells one that comes
later where the first process listens."""
ELASTIC = ("--epochs", "2", "--batch-size", "24", "--checkpoint-every", "10", "--seed", "1")


def print_elastic(folder: Path) -> None:
    """A machine dies in the middle and comes back."""
    card = write_card(folder, SMALL)
    outputs = [folder / "elastic", folder / "calm"]
    for output in outputs:
        train_on_two(card, output, disturbed=output == outputs[0])
        record = json.loads((output / "train.json").read_text(encoding="utf-8"))
        ended = f"{len(record['epochs'])} epochs, taken up again {record['resumed']} times"
        print(f"  {output.name}: {ended}, {len(read_losses(output))} steps in the log", flush=True)
    weights = [load_file(output / "checkpoint.safetensors") for output in outputs]
    same = all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    print(f"  weights beside those of two machines that nobody disturbed: {'the same bits' if same else 'DIFFERENT'}")


def train_on_two(card: Path, output: Path, disturbed: bool) -> None:
    """Train on two machines, one of which dies on the way and comes back if this is to be disturbed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    logs = [output.with_name(f"{output.name}-{number}.log") for number in (0, 1)]
    for old in [*output.glob("*"), *(log for log in logs if log.exists())]:
        old.unlink()
    machines = [start_machine(card, output, port, logs[0])]
    wait_for_port(port)  # The first keeps what all agree on.
    machines.append(start_machine(card, output, port, logs[1]))
    if disturbed:
        wait_for_step(output, 30)
        kill(machines[1])
        print(f"elastic: machine 2 of 2 killed after step {len(read_losses(output))}, and started again", flush=True)
        machines[1] = start_machine(card, output, port, logs[1])
    codes = [machine.wait(600) for machine in machines]
    if any(codes):
        raise SystemExit(f"they ended with {codes}: see {logs[0]} and {logs[1]}")


def wait_for_port(port: int) -> None:
    """Until somebody listens."""
    until = time.monotonic() + 60
    while True:
        with socket.socket() as asking:
            if asking.connect_ex(("localhost", port)) == 0:
                return
        if time.monotonic() > until:
            raise SystemExit("torchrun did not start")
        time.sleep(0.2)


def wait_for_step(output: Path, step: int) -> None:
    """Until the log has so many steps."""
    until = time.monotonic() + 300
    while not (output / "train.jsonl").exists() or len(read_losses(output)) < step:
        if time.monotonic() > until:
            raise SystemExit("the training did not get under way")
        time.sleep(0.2)


def kill(machine: subprocess.Popen[bytes]) -> None:
    """The agent and its processes, at once, which are in sessions of their own."""
    agent = psutil.Process(machine.pid)
    for process in [agent, *agent.children(recursive=True)]:
        process.kill()
    machine.wait()


def main() -> None:
    """Do what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[], choices=["curves", "eight", "elastic", []])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    parts = asked.parts or ["curves", "eight", "elastic"]
    if "curves" in parts:
        print_curves(asked.folder, asked.picture)
    if "eight" in parts:
        print_eight(asked.folder)
    if "elastic" in parts:
        print_elastic(asked.folder)


if __name__ == "__main__":
    main()
