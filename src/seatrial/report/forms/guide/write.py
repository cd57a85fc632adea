"""The sections of a guide's README in the order of the ModelZoo, with a table of contents."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seatrial.report.formats import escape
from seatrial.report.forms.guide.about import (
    list_addresses,
    write_environment,
    write_overview,
    write_questions,
    write_tensors,
    write_versions,
)
from seatrial.report.forms.guide.results import write_diagnosis, write_results, write_training, write_tuning
from seatrial.report.forms.guide.steps import write_data_steps, write_inference_steps, write_source_steps
from seatrial.report.language import say
from seatrial.results.run_folder import Run


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its paragraphs, and the sections below it."""

    title: str
    blocks: Sequence[str] = ()
    parts: "Sequence[Section]" = ()


def write_guide(run: Run) -> str:
    """The README; a section that the run has no record for is left out where guides may lack it.

    Raises:
        RefusedFile: the stored diagnosis is damaged.
    """
    sections = [section for section in _list_sections(run) if section.blocks or section.parts]
    title = escape(say("{title}: inference guide", title=run.recipe.title))
    blocks = [f"# {title}", "\n".join(_list_contents(sections))]
    for number, section in enumerate(sections, start=1):
        blocks += [f'# {section.title}<a name="part-{number}"></a>', *section.blocks]
        for place, part in enumerate(section.parts, start=1):
            blocks += [f'## {part.title}<a name="part-{number}-{place}"></a>', *part.blocks]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _list_sections(run: Run) -> Iterator[Section]:
    yield Section(say("Overview"), write_overview(run), [Section(say("Inputs and outputs"), write_tensors(run))])
    yield Section(say("Environment"), write_environment(run))
    yield Section(
        say("Quick start"),
        (),
        [
            Section(say("Getting the source code"), write_source_steps(run)),
            Section(say("Preparing the data set"), write_data_steps(run)),
            Section(say("Inference"), write_inference_steps(run)),
        ],
    )
    yield Section(say("Speed and accuracy of inference"), write_results(run))
    yield Section(say("Speed tuning"), write_tuning(run))
    yield Section(say("Accuracy debugging"), write_diagnosis(run))
    yield Section(say("Results of training"), write_training(run))
    yield Section(
        say("Release notes"),
        (),
        [Section(say("Changes"), write_versions(run)), Section(say("FAQ"), write_questions(run))],
    )
    yield Section(say("Public network addresses"), list_addresses(run))


def _list_contents(sections: Sequence[Section]) -> Iterator[str]:
    for number, section in enumerate(sections, start=1):
        yield f"- [{section.title}](#part-{number})"
        for place, part in enumerate(section.parts, start=1):
            yield f"    - [{part.title}](#part-{number}-{place})"
