"""The model card as the hub reads it, and the comment for a pull request."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml

from run_folder import BF16, INT8, TORCH, Trial, build_run
from seatrial.report.forms import write_form
from seatrial.report.forms.doubts import list_doubts
from seatrial.report.forms.yaml import write_yaml
from seatrial.report.language import speaking
from seatrial.results.run_folder import read_run
from seatrial.store.records import RunManifest

EVIL = "<script>x</script> | `a` **b** @somebody #12 https://evil.example www.evil.example ![i](u)"


def test_the_hub_reads_the_card_back(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard(write_form(read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8)))), "card"))
    assert (card.data.license, card.data.pipeline_tag) == ("bsd-3-clause", "image-classification")
    assert card.data.model_name == "digits"
    results = {(r.dataset_args["engine"], r.metric_name): r for r in card.data.eval_results or () if r.dataset_args}
    # 44 rows are wrong in int8 alone or in both, 24 in torch: 496 and 516 of 540 are right.
    assert results["openvino-int8", "Top-1 accuracy"].metric_value == 496 / 540
    assert results["torch", "Top-1 accuracy"].metric_value == 516 / 540
    drop = results["openvino-int8", "Drop of top-1 against torch, percentage points"].metric_value
    assert drop == pytest.approx(2000 / 540)
    assert {r.dataset_name for r in results.values()} == {"val"}
    assert "# ResNet-50 v1.5 on coloured digits" in card.text and "| openvino-int8 |" in card.text
    # What the hub writes again it reads again.
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_a_card_without_accuracy_has_no_results(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    (build_run(tmp_path / "whole") / "run.json").rename(tmp_path / "run.json")
    card = ModelCard(write_form(read_run(tmp_path), "card"))
    assert card.data.eval_results is None and "Accuracy: not measured." in card.text


@pytest.mark.parametrize(
    ("hub", "licence", "expected"),
    [
        (
            "timm/resnet50.a1_in1k/model.safetensors",
            "Apache-2.0",
            {"base_model": "timm/resnet50.a1_in1k", "license": "apache-2.0"},
        ),
        (None, "Weights of ours, see LICENSE", {"license": "other", "license_name": "Weights of ours, see LICENSE"}),
    ],
)
def test_licence_and_base_model_are_those_of_the_card(
    tmp_path: Path, hub: str | None, licence: str, expected: dict[str, str]
) -> None:
    folder = build_run(tmp_path)
    manifest = RunManifest.load(folder / "run.json")
    weights = {"file": "w.pth", "licence": licence} | ({"hub": hub} if hub else {})
    changed = manifest.model_copy(update={"recipe": manifest.recipe | {"weights": weights}})
    changed.save(folder / "run.json")
    metadata = yaml.safe_load(write_form(read_run(folder), "card").split("---\n")[1])
    assert {key: metadata.get(key) for key in ("license", "license_name", "base_model") if key in metadata} == expected


def test_yaml_keeps_every_text_and_number() -> None:
    texts = ["no", "1e3", "- a: b", "é 中文 𝄞", "\x00\x1b\x7f\x85\u2028\ufeff\"'\\", "a\nb", "", " "]
    value = {"a": texts, "b": {"c": [{"d": 1, "e": 0.1, "f": None, "g": True}, "x"]}, "h": 516 / 540}
    assert yaml.safe_load(write_yaml(value)) == value


def test_the_comment_is_three_lines_and_a_table_without_links(tmp_path: Path) -> None:
    evil = dataclasses.replace(BF16, name=EVIL.replace("/", "∕"))
    text = write_form(read_run(build_run(tmp_path, Trial(ships=(TORCH, evil), title=EVIL))), "pr")
    *lines, table = text.rstrip("\n").split("\n\n")
    assert len(lines) == 3 and lines[0].startswith("**PASS: ")
    assert lines[2].startswith(
        "Recipe digits, 540 images, on Intel(R) Xeon(R) Platinum 8488C with 2 cores, seatrial 0.1.0. "
    )
    assert not re.search(r"[@#]\w|\w://|\bwww\.|<(?!!-- -->)|(?<!\\)[`\]]", text)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()} == {10}


def test_the_card_lists_its_doubts(tmp_path: Path) -> None:
    text = write_form(read_run(build_run(tmp_path)), "card")
    assert "- openvino-bf16: the first half of the samples is 6 % faster than the second" in text
    assert json.dumps("val") in text


def test_a_doubt_of_several_engines_is_one_line(tmp_path: Path) -> None:
    text = "batch {}: samples scatter by {}% of their mean (standard deviation; over 5% is noisy)"
    ships = (dataclasses.replace(TORCH, doubts=(text.format(1, 9), text.format(4, 12))),)
    ships += (dataclasses.replace(BF16, doubts=(text.format(4, 7),)),)
    lines = list_doubts(read_run(build_run(tmp_path, Trial(ships=ships))))
    noisy = "samples scatter by 7 to 12% of their mean (standard deviation; over 5% is noisy)"
    assert [line for line in lines if "scatter" in line] == [
        f"torch at batch 1, 4; openvino-bf16 at batch 4: {noisy}",
    ]
    with speaking("zh"):
        told = list_doubts(read_run(tmp_path))
    scattered = "样本离散度为均值的 7 至 12%（标准差；超过 5% 为噪声大）"
    assert f"torch，batch 1, 4；openvino-bf16，batch 4：{scattered}" in told
