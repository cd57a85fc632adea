"""A model card for the Hugging Face hub: metadata with every engine's accuracy, then the page of the model."""

from pathlib import PurePath

from seatrial.printable import make_printable
from seatrial.report.formats import escape, fence, write_markdown_list, write_markdown_table
from seatrial.report.forms.doubts import list_doubts
from seatrial.report.forms.yaml import Value, write_yaml
from seatrial.report.headline import write_speed, write_verdict
from seatrial.report.language import retell, say
from seatrial.report.numbers import write_count
from seatrial.report.provenance import make_graph, make_model
from seatrial.report.tables import Table, make_accuracy, make_summary, write_precision
from seatrial.report.translate import retell_values
from seatrial.results.run_folder import Run
from seatrial.store.records import AccuracyRecord

TASK = "image-classification"
_LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "cc0-1.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "openrail", "unlicense",
)  # fmt: skip
"""Those of the hub's words that published classifiers have; any other licence is `other`, by its name."""


def write_card(run: Run) -> str:
    """The card as README.md of a model repository."""
    doubts = list_doubts(run)
    blocks = [
        f"---\n{write_yaml(list_metadata(run))}---",
        f"# {escape(run.recipe.title)}",
        f"**{escape(retell(write_verdict(run)))}**",
        escape(retell(write_speed(run))),
        write_markdown_table(retell_values(make_summary(run)).grid),
        f"## {say('Evaluation')}",
        escape(describe_set(run)),
        _write_table(retell_values(make_accuracy(run))),
        f"## {say('Model')}",
        _write_facts(retell_values(make_model(run))),
        f"## {say('Preprocessing and graph')}",
        _write_facts(retell_values(make_graph(run))),
        f"## {say('Limits')}",
        write_markdown_list(doubts) if doubts else say("The measurements noticed nothing against themselves."),
        f"## {say('How to reproduce it')}",
        fence(make_printable(run.manifest.command)),
    ]
    return "\n\n".join(blocks) + "\n"


def list_metadata(run: Run) -> dict[str, Value]:
    """The YAML of the card: what the hub reads (`huggingface_hub.ModelCardData`)."""
    weights = run.recipe.weights
    licence = (weights.licence if weights else None) or ""
    metadata: dict[str, Value] = {}
    if licence.lower() in _LICENCES:
        metadata["license"] = licence.lower()
    elif licence:
        metadata |= {"license": "other", "license_name": licence}
    if weights and weights.hub and weights.hub.count("/") > 1:
        metadata["base_model"] = "/".join(weights.hub.split("/")[:2])
    metadata |= {"pipeline_tag": TASK, "tags": [TASK, "onnx", "seatrial"]}
    results = _list_results(run)
    if any(record.labelled for record in run.accuracy.values()):
        metadata["metrics"] = ["accuracy"]
    if results:
        metadata["model-index"] = [{"name": run.recipe.name, "results": results}]
    return metadata


def _list_results(run: Run) -> list[Value]:
    """One result for each engine; accuracy from 0 to 1, in full precision."""
    return [
        {
            "task": {"type": TASK},
            "dataset": {
                "type": "imagefolder",
                "name": name_set(run),
                "args": {"images": record.images, "engine": name, "precision": write_precision(run, name)},
            },
            "metrics": _list_metrics(record),
        }
        for name, record in run.accuracy.items()
        if record.compared or record.labelled
    ]


def _list_metrics(record: AccuracyRecord) -> list[Value]:
    metrics: list[Value] = []
    if record.labelled:
        metrics.append({"type": "accuracy", "name": "Top-1 accuracy", "value": record.accuracy(1)})
    elif record.agreement:
        name = f"Share of first classes that are those of {record.agreement.reference}"
        metrics.append({"type": "agreement", "name": name, "value": record.agreement.share})
    if len(record.hits) >= 5:
        metrics.append({"type": "accuracy", "name": "Top-5 accuracy", "value": record.accuracy(5), "args": {"k": 5}})
    if record.versus:
        name = f"Drop of top-1 against {record.versus.reference}, percentage points"
        metrics.append({"type": "drop_pp", "name": name, "value": record.versus.drop_pp})
    return metrics


def name_set(run: Run) -> str:
    """What the labelled set is called: the last part of the path that it was given by."""
    return PurePath(run.manifest.images).name or run.manifest.images or "images"


def describe_set(run: Run) -> str:
    """What was evaluated on, in a sentence."""
    images = max((record.images for record in run.accuracy.values()), default=0)
    if not images:
        return say("Accuracy: not measured.")
    facts = {"images": write_count(images), "name": name_set(run), "reference": run.reference}
    if not run.labelled:
        return say(
            "{images} images of {name} without labels; each engine is compared with {reference} image by image.",
            **facts,
        )
    return say("{images} labelled images of {name}; each engine is compared with {reference} image by image.", **facts)


def _write_table(table: Table) -> str:
    return write_markdown_table(table.grid) if table.rows else escape(table.absent)


def _write_facts(table: Table) -> str:
    """Pairs of a name and a value, as a list."""
    return "\n".join(f"- **{escape(name)}**: {escape(value)}" for name, value in table.rows)
