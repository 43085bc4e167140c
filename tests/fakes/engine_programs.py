"""Programs that act like engines, as files on a path: small scripts that note how they were called."""

import json
import sys
from pathlib import Path

# Takes the first answer whose words are all among its arguments; a build leaves the image's id, or an
# archive, where it is wanted.
_SCRIPT = """#!{python}
import io, json, pathlib, sys, tarfile
here = pathlib.Path({here!r})
with (here / "calls.jsonl").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.loads((here / "answers.json").read_text())
for words, (code, text) in answers.items():
    if all(word in sys.argv[1:] for word in words.split()):
        for line in text.splitlines():
            print(line, file=sys.stderr if code else sys.stdout)
        if not code:
            break
        sys.exit(code)
for argument in sys.argv[1:]:
    if argument.startswith("--iidfile="):
        pathlib.Path(argument.partition("=")[2]).write_text("sha256:1234")
    elif argument.startswith("--output="):
        wanted = argument.partition("=")[2]
        archive = wanted.partition("dest=")[2].partition(",")[0] or wanted
        with tarfile.open(archive, "w") as file:
            member = tarfile.TarInfo("index.json")
            member.size = 2
            file.addfile(member, io.BytesIO(b"{{}}"))
"""


class EngineProgram:
    """A program in a directory of its own.

    Attributes:
        path: the program.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory / f"{name}-program"
        self._directory.mkdir(parents=True)
        self.path = self._directory / name
        self.path.write_text(_SCRIPT.format(python=sys.executable, here=str(self._directory)))
        self.path.chmod(0o755)
        self.answer({})

    def answer(self, answers: dict[str, tuple[int, str]]) -> None:
        """Answer calls that have all of these words, by a blank apart, with an exit code and a text."""
        (self._directory / "answers.json").write_text(json.dumps(answers))

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        file = self._directory / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
