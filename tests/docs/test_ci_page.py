"""What the page on CI says is run on a small network, and it says what the action, the hook and the image take."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from onnx_graphs import write_linear
from pages import ROOT, read_commands, read_page
from seatrial.cli import run_cli
from tiny_trial import TinyTrial

PAGE = "docs/ci.md"
BRIEF = ("--bench-duration", "0.01", "--bench-samples", "2")


def read_block(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", read_page(PAGE), re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def _place(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with what the page's run takes."""
    folder = tmp_path_factory.mktemp("page")
    write_linear(folder / "net.onnx", classes=4)
    for name, target in {
        "my-card.toml": tiny_trial.card,
        "photos": tiny_trial.images,
        "labels.txt": tiny_trial.labels,
    }.items():
        (folder / name).symlink_to(target)
    (config,) = read_block("toml")
    (folder / "seatrial.toml").write_text(config.replace("0.76", "0.01"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands(PAGE), ids=lambda words: " ".join(words)[:60])
def test_a_command_of_the_page_runs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli([*words, *(BRIEF if words[0] == "run" else ())]) == 0
    shown = capsys.readouterr().out
    assert shown.strip() or Path(words[-1]).is_file()
    assert "pr" not in words or shown.startswith("**PASS: onnxruntime")


def test_the_page_says_what_the_action_takes() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .* \| (.*) \|$", read_page(PAGE), re.MULTILINE))
    stated = {name: f"`{given['default']}`" for name, given in action["inputs"].items() if "default" in given}
    assert rows == {**stated, "config": "–", "token": "the job's"}
    assert all(f"`{name}`" in read_page(PAGE) for name in action["outputs"])
    workflow, _ = read_block("yaml")
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    assert set(job["steps"][-1]["with"]) <= set(action["inputs"])


def test_the_page_names_the_hook_and_what_the_image_is_built_with() -> None:
    _, config = read_block("yaml")
    (repo,) = yaml.safe_load(config)["repos"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert [hook["id"] for hook in repo["hooks"]] == [hook["id"] for hook in hooks]
    assert "ARG EXTRAS=cpu,openvino,report" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--build-arg EXTRAS=cpu,openvino,report" in read_page(PAGE)
