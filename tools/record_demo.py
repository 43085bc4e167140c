"""Writes docs/demo.md: what `towpath demo` prints, as text. Run it on a quiet machine: the times are real."""

import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "docs" / "demo.md"
PROGRAM = Path(sys.executable).parent / "towpath"
LONGEST_LINE = 150

HEAD = """\
# A recording of the demo

`make demo` on a machine with 2 cores, written by `make recording`. Commits, digests and times differ with every run.

"""


def main() -> int:
    """Run the demo and write the file; the demo's exit code."""
    done = subprocess.run([PROGRAM, "demo"], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr)
        return done.returncode
    lines = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in done.stdout.splitlines()]
    text = "\n".join(line.rstrip() for line in lines).strip()
    TARGET.write_text(f"{HEAD}```text\n{text}\n```\n")
    print(f"wrote {TARGET.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
