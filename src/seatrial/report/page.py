"""The content of a report, in order; HTML and Markdown differ only in how they write it."""

from dataclasses import dataclass

from seatrial.printable import make_printable
from seatrial.report import provenance, tables
from seatrial.report.choice import make_choice
from seatrial.report.confidence import make_confidence
from seatrial.report.costs import make_costs
from seatrial.report.doubt_tables import make_doubts, write_doubts
from seatrial.report.flips import make_flips
from seatrial.report.headline import describe_subject, gates_of, write_meaning, write_speed, write_verdict
from seatrial.report.layers import make_layers
from seatrial.report.limits import make_limits
from seatrial.report.numbers import join_words
from seatrial.report.per_class import Matrix, make_confusions, make_matrices, make_worse_classes
from seatrial.report.tables import Table
from seatrial.report.time_spent import make_time_spent
from seatrial.results.run_folder import Run

TERMS = (
    ("Top-1", "the share of test images whose first class is right"),
    ("Reference", "the engine that the others are compared with, image by image"),
    ("Drop", "how many percentage points of top-1 an engine loses against the reference; below 0 it gains"),
    ("Interval", "the true drop is above its lower end, and below its upper end, each with 95 % confidence"),
    ("Changed", "the share of images whose first class differs from the reference's, right or wrong"),
    ("Flip", "an image to which two engines give different first classes"),
    ("Batch size", "how many images an engine is given at once"),
    ("Images/s", "images per second, from memory to memory, at the batch size that is best for the engine"),
    ("Precision", "the number format requested, and how many layers really run in it"),
)


@dataclass(frozen=True, slots=True)
class PageSection:
    """A heading with its tables."""

    title: str
    tables: tuple[Table, ...]
    matrices: tuple[Matrix, ...] = ()
    """For pages only, folded."""


@dataclass(frozen=True, slots=True)
class Page:
    """A report before it is written in a format."""

    title: str
    subject: str
    """What was tested, and on what."""
    outcome: str
    """PASS, FAIL, INCONCLUSIVE, or empty when the run was not judged."""
    verdict: str
    meaning: str
    speed: str
    doubts: str
    """How many doubts could change what, or empty."""
    troubles: tuple[tuple[str, str], ...]
    """Who did not pass a gate, and why."""
    summary: Table
    terms: tuple[tuple[str, str], ...]
    sections: tuple[PageSection, ...]
    command: str
    version: str


def make_page(run: Run) -> Page:
    """Put a run into words and rows."""
    outcome = run.verdict.outcome if run.verdict else ""
    return Page(
        title=run.recipe.title,
        subject=describe_subject(run),
        outcome=outcome,
        verdict=write_verdict(run),
        meaning=write_meaning(run),
        speed=write_speed(run),
        doubts=write_doubts(run),
        troubles=_list_troubles(run),
        summary=tables.make_summary(run),
        terms=TERMS,
        sections=(
            PageSection("Judgement", (tables.make_gates(run), *make_doubts(run), make_limits(run))),
            _accuracy(run),
            PageSection(
                "Speed and cost",
                (*make_choice(run), *_speed(run)),
            ),
            PageSection(
                "How it was made", (*_training(run), tables.make_parity(run), tables.make_built(run), make_layers(run))
            ),
            PageSection(
                "Where it comes from",
                (provenance.make_model(run), provenance.make_graph(run), provenance.make_machine(run)),
            ),
        ),
        command=make_printable(run.manifest.command),
        version=run.manifest.environment.versions.get("seatrial", ""),
    )


def _speed(run: Run) -> tuple[Table, ...]:
    return make_costs(run), tables.make_speed(run), tables.make_ratios(run), make_time_spent(run)


def _accuracy(run: Run) -> PageSection:
    return PageSection(
        "Accuracy",
        (
            tables.make_accuracy(run),
            _versus(run),
            make_confidence(run),
            make_flips(run),
            make_worse_classes(run),
            make_confusions(run),
        ),
        make_matrices(run),
    )


def _list_troubles(run: Run) -> tuple[tuple[str, str], ...]:
    """Who did not pass a gate, and why; engines of one reason together, with the outcome where there are several."""
    unmet = [gate for gate in gates_of(run) if gate.outcome != "PASS"]
    groups: dict[tuple[str, str], list[str]] = {}
    for gate in unmet:
        groups.setdefault((gate.outcome, gate.reason), []).append(gate.engine or "speed")
    is_mixed = len({gate.outcome for gate in unmet}) > 1
    named = [(join_words(list(dict.fromkeys(names))), *group) for group, names in groups.items()]
    return tuple((f"{who} ({outcome})" if is_mixed else who, why) for who, outcome, why in named)


def _versus(run: Run) -> Table:
    """The comparison with the reference, by what is right where that is known."""
    agreement = tables.make_agreement(run)
    return agreement if agreement.rows else tables.make_versus(run)


def _training(run: Run) -> tuple[Table, ...]:
    return (tables.make_training(run),) if run.training else ()
