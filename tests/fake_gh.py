"""A fake of GitHub's `gh api` for comments on pull request 7 of owner/project, kept in the file FAKE_GH_COMMENTS.

It takes the calls of action.yml and no other. FAKE_GH_REFUSES: everything is refused, as by a token that may not.
"""

import json
import os
import sys
from pathlib import Path

LIST = "repos/owner/project/issues/7/comments"
ONE = "repos/owner/project/issues/comments/"
CHOOSE = ".[] | select(.body | startswith(env.MARK)) | .id"


def read_body(words: list[str]) -> str:
    """What `-F body=@FILE` names."""
    option, _, path = words[-1].partition("=@")
    assert words[-2:-1] == ["-F"] and option == "body"
    return Path(path).read_text(encoding="utf-8")


def main(words: list[str]) -> int:
    """Answer one call."""
    assert os.environ["GH_TOKEN"] == "a-token" and words[0] == "api"
    if "FAKE_GH_REFUSES" in os.environ:
        sys.stderr.write("gh: Resource not accessible by integration (HTTP 403)\n")
        return 1
    store = Path(os.environ["FAKE_GH_COMMENTS"])
    comments: dict[str, str] = json.loads(store.read_text(encoding="utf-8"))
    if words[1] == "--paginate":
        assert words[2:] == [LIST, "--jq", CHOOSE]
        sys.stdout.writelines(f"{key}\n" for key, body in comments.items() if body.startswith(os.environ["MARK"]))
        return 0
    assert words[1:3] == ["--silent", "--method"]
    if words[3] == "POST":
        assert words[4] == LIST
        comments[str(max(map(int, comments), default=0) + 1)] = read_body(words)
    else:
        assert words[3] == "PATCH" and words[4].removeprefix(ONE) in comments
        comments[words[4].removeprefix(ONE)] = read_body(words)
    store.write_text(json.dumps(comments), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
