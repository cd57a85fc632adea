"""The Dockerfile, read, not built: what it copies is there and let through, and it runs as somebody else than root."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
STEPS = [(word, rest) for word, _, rest in (line.partition(" ") for line in LINES) if word and not word.startswith("#")]
"""Each instruction with its words."""


def find(instruction: str) -> list[str]:
    return [rest for word, rest in STEPS if word == instruction]


def test_every_instruction_is_one() -> None:
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in STEPS} <= known
    assert find("HEALTHCHECK") == ["NONE"] and find("ENTRYPOINT") == ['["seatrial"]']


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert ignored[0] == "*"
    kept = [pattern.removeprefix("!") for pattern in ignored if pattern.startswith("!")]
    sources = [name for words in find("COPY") if not words.startswith("--from") for name in words.split()[:-1]]
    assert set(sources) == set(kept) and all((ROOT / name).exists() for name in sources)
    # What the build reads besides the package.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"pyproject.toml", project["readme"], *project["license-files"]} <= set(sources)
    assert not any(fnmatch("src/seatrial/py.typed", pattern) for pattern in ignored[1:] if not pattern.startswith("!"))


def test_versions_are_those_of_the_constraints_and_from_nowhere_else() -> None:
    (install,) = (step for step in find("RUN") if "pip install" in step)
    assert "--constraint constraints.txt" in install and "--no-cache-dir" in install
    assert not re.search(r"index|https?:|find-links|trusted", " ".join(rest for _, rest in STEPS))
    (extras,) = (rest.removeprefix("EXTRAS=").split(",") for rest in find("ARG") if rest.startswith("EXTRAS="))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extras and set(extras) <= set(project["optional-dependencies"])


def test_the_image_runs_as_somebody_who_is_made_there() -> None:
    last = max(place for place, (word, _) in enumerate(STEPS) if word == "FROM")
    (user,) = (rest for word, rest in STEPS[last:] if word == "USER")
    (made,) = (rest for word, rest in STEPS[last:] if word == "RUN")
    assert user != "root" and f"useradd --system --no-create-home {user}" in made
    assert [word for word, _ in STEPS[last:]].index("USER") > [word for word, _ in STEPS[last:]].index("RUN")
