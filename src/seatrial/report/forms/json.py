"""Every figure by name, for programs: the names of `rows`."""

from seatrial.report.forms.doubts import list_weighed
from seatrial.report.forms.rows import list_engine, list_run, list_speeds
from seatrial.report.forms.yaml import write_json_text
from seatrial.report.headline import gates_of, write_speed, write_verdict
from seatrial.results.run_folder import Run

SCHEMA = "seatrial/report/1"


def write_json(run: Run) -> str:
    """The run, its gates, engines with their speeds, and doubts; null is what there is no record of."""
    values = {
        "schema": SCHEMA,
        **list_run(run),
        "verdict": write_verdict(run),
        "fastest": write_speed(run),
        "gates": [gate.model_dump(mode="json") for gate in gates_of(run)],
        "engines": [{**list_engine(run, name), "speeds": list_speeds(run, name)} for name in run.engines],
        "doubts": list_weighed(run),
    }
    return write_json_text(values, indent=1) + "\n"
