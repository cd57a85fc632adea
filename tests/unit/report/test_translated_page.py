"""The page in another language: nothing that people read stays English, and every figure stays as it is."""

import dataclasses
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from made_choice import CANDIDATES, SETTINGS, make_choice
from run_folder import BF16, INT8, MACHINE, ORT, TORCH, Trial, build_run, write_verdict
from seatrial.compare.gate_expression import read_gate
from seatrial.compare.gates import judge_agreement, judge_drop
from seatrial.report.forms import write_form
from seatrial.report.language import LANGUAGES, speaking
from seatrial.report.page import make_page
from seatrial.report.tables import Table
from seatrial.report.translate import retell_markup, retell_values
from seatrial.results.run_folder import read_records, read_run
from seatrial.store.records import AccuracyRecord, Agreement, GateResult, RunManifest
from seatrial.workflow.compare.runs import judge_run

TITLE = "coloured-digits"
CHINESE = re.compile("[\u4e00-\u9fff]")
SAME = re.compile(r"(Top-\d, %|Top-1|× \S+|[Bb]atch [Ss]ize|Images/s|9\d %, ms|p|Epoch|torch|(?:onnx|openvino)\S+|)")
"""Headings that are the same in Chinese."""
SENTENCE = re.compile(r"[A-Za-z]+ [a-z]{2,} [a-z]{2,}")
DOUBTS = (
    "batch 4: samples scatter by 12% of their mean (standard deviation; over 5% is noisy)",
    "batch 1: measured in one process, so the interval leaves out how much processes differ; give --processes 5",
    "batch 1: measured in one process, so the interval leaves out how much processes differ; "
    "`seatrial bench --processes 5` measures in five",
    "batch 4: the last third of the run was 12% slower than the first: the machine changed its speed "
    "(heat, clock rate, other work)",
    "batch 1: its 5 processes disagree by 9% (fastest median 3.1 ms, slowest 3.4 ms): "
    "a single one of them proves little",
    "batch 4: times had not settled when the warm-up's time limit was reached; allow a longer warm-up",
    "batch 1: 50 samples are too few to state a 99th percentile, which takes 100",
    "batch 4: other processes used 31% of the processors while it was measured",
    "batch 4: something else kept the device 31% busy just before or after it was measured; stop it and measure again",
    "batch 4: other processes had 134 MiB of the device's memory and may have computed on it meanwhile; "
    "end them and measure again: python, train",
    "batch 4: other processes had memory of the device and may have computed on it meanwhile; "
    "end them and measure again: python",
)
"""As records hold them, those of older versions too."""


def list_runs(base: Path) -> Iterator[Path]:
    """Runs of every outcome, and some that lack a part."""
    doubted = dataclasses.replace(BF16, doubts=DOUBTS)
    yield build_run(base / "failed", Trial(ships=(TORCH, doubted, INT8), trained=True, title=TITLE))
    yield build_run(base / "passed", Trial(ships=(TORCH, ORT, doubted), title=TITLE))
    yield build_run(base / "open", Trial(ships=(TORCH, INT8), gate_pp=3.0, title=TITLE))
    for missing in ("bench", "evaluation", "verdict.json", "engines"):
        folder = build_run(base / f"no-{missing}", Trial(ships=(TORCH, ORT), title=TITLE))
        (folder / missing).rename(base / f"gone-{missing}")
        yield folder
    folder = build_run(base / "no-gate", Trial(ships=(TORCH, ORT), title=TITLE))
    write_verdict(folder, [])
    yield folder
    begun = base / "begun"
    begun.mkdir()
    shutil.copy(folder / "run.json", begun)
    yield begun
    reason = "best(a) >= 2 * best(b): 1 against 2"
    slow = build_run(base / "slow", Trial(ships=(TORCH, ORT), title=TITLE))
    write_verdict(slow, [GateResult(gate="speed", engine="", outcome="FAIL", kind="speed", reason=reason)])
    yield slow
    required = build_run(base / "required", Trial(ships=(TORCH, ORT, INT8), title=TITLE))
    write_verdict(required, judge_expressions(required))
    yield required
    chosen = build_run(base / "chosen", Trial(ships=(TORCH, ORT), title=TITLE))
    identity = RunManifest.load(chosen / "run.json").identity
    make_choice(SETTINGS, CANDIDATES).model_copy(update={"run": identity}).save(chosen / "choice.json")
    yield chosen
    yield from (
        forget_labels(build_run(base / f"no-labels-{n}", Trial(ships=(TORCH, ORT), title=TITLE)), n) for n in (0, 9)
    )


def judge_expressions(run: Path) -> list[GateResult]:
    """Results of each kind: by bounds, by the value alone, open, and of what was not measured."""
    texts = (
        "top1 >= 0.5", "top1 >= 0.93", "drop_pp < 0.5", "macro_recall >= 0.7", "size_bytes < 1", "memory_bytes < 1e3",
        "p99_ms < 5", "images_per_s(onnxruntime) > 33", "at(onnxruntime, 16) > 1", "agreement(torch) > 0.9",
        "p50_ms + mean_ms < 900", "compile_s < 3", "1 / drop_pp(onnxruntime) > 2",
    )  # fmt: skip
    return list(judge_run(read_records(run), [read_gate(text) for text in texts]))


def forget_labels(run: Path, changed: int) -> Path:
    """Make of a run one of images without labels, judged by what changed."""
    gates = []
    for name in ("torch", "onnxruntime"):
        path = run / "evaluation" / f"{name}.json"
        agreement = Agreement(
            reference="torch",
            images=540,
            changed=changed,
            share=1 - changed / 540,
            low=0.97,
            high=1,
            weighted_flips=0.1,
        )
        compared = None if name == "torch" else agreement
        record = AccuracyRecord.load(path)
        record.model_copy(update={"hits": (), "metrics": {}, "versus": None, "agreement": compared}).save(path)
        (run / "evaluation" / record.predictions).unlink()
        if compared is not None:
            gates = [judge_drop(name, compared, 1.0), judge_agreement(name, compared, 0.99)]
    write_verdict(run, gates)
    return run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(list_runs(tmp_path_factory.mktemp("runs")))


def list_values(value: object) -> Iterator[object]:
    """A page's tables and texts, but commands and what programs read."""
    yield value
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from list_values(each)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.name not in ("kind", "command", "version"):
                yield from list_values(getattr(value, field.name))


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_no_sentence_and_no_heading_stays_english(folders: list[Path], language: str) -> None:
    left, headings = set(), set()
    for folder in folders:
        with speaking(language):
            page = retell_values(make_page(read_run(folder)))
        values = list(list_values(page))
        left |= {value for value in values if isinstance(value, str) and SENTENCE.search(value)}
        for table in (value for value in values if isinstance(value, Table)):
            headings |= {table.title, table.note, table.absent, *(column.name for column in table.columns)}
        headings |= {section.title for section in page.sections}
    assert left == set()
    assert {heading for heading in headings if not CHINESE.search(heading) and not SAME.fullmatch(heading)} == set()


def test_the_template_and_the_charts_are_in_the_language(folders: list[Path]) -> None:
    html = write_form(read_run(folders[0]), "html", "zh")
    assert '<html lang="zh">' in html
    shown = re.sub(r"(?s)<(style|pre|code)\b.*?</\1>|<[^>]*>", "\n", html)
    assert [line.strip() for line in shown.splitlines() if SENTENCE.search(line)] == []
    assert all(f">{label}<" in html for label in ("top-1 下降，百分点（右侧更差）", "毫秒（左侧更快）", "留出"))


@pytest.mark.parametrize("form", ["md", "pr", "card"])
def test_every_figure_is_the_same(folders: list[Path], form: str) -> None:
    for folder in folders:
        run = read_run(folder)
        english, chinese = (write_form(run, form, language) for language in ("en", "zh"))
        figures = r"\d+\.\d+"
        assert Counter(re.findall(figures, chinese)) == Counter(re.findall(figures, english))


def test_names_stay_as_they_are(tmp_path: Path) -> None:
    evil = "<b>best</b> & {n} to {w}"
    folder = build_run(tmp_path, Trial(ships=(TORCH, dataclasses.replace(ORT, name="a b; c. D")), title=evil))
    shutil.rmtree(folder / "bench")
    shutil.rmtree(folder / "evaluation")  # No charts, which take the time.
    path = folder / "run.json"
    named = MACHINE.model_copy(update={"cpu": "Lost and Found, 3 cores"})
    RunManifest.load(path).model_copy(update={"environment": named}).save(path)
    text = write_form(read_run(folder), "html", "zh")
    assert "&lt;b&gt;best&lt;/b&gt; &amp; {n} to {w}" in text and "<b>best</b>" not in text


def test_markup_is_told_outside_of_code() -> None:
    html = '<p> Speed was not measured. </p><code>best</code><pre>Loss</pre><td data-label="Loss">Loss</td>'
    assert retell_markup(html) == html
    with speaking("zh"):
        assert retell_markup(html) == (
            '<p> 性能未测量。 </p><code>best</code><pre>Loss</pre><td data-label="损失">损失</td>'
        )
