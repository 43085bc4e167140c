"""`towpath demo` as a stranger runs it: it ends well, and nothing of it is left."""

import os
import subprocess
import sys
from pathlib import Path

from fakes.keeper import descendants
from fakes.platform import BIN, KEEPER

# Three times what it takes on a small machine that does nothing else.
PATIENCE_SECONDS = 180


def test_the_demo_ends_well_and_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    home, temporary, log = tmp_path / "home", tmp_path / "tmp", tmp_path / "demo.log"
    home.mkdir()
    temporary.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(KEEPER), str(log), str(BIN / "towpath"), "demo"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            keeper.stdout.readline()  # its pid
            code = keeper.stdout.readline().strip()  # when it has ended
            left = descendants(keeper.pid)
        finally:
            keeper.stdin.close()
            keeper.wait(PATIENCE_SECONDS)
    text = log.read_text()
    assert code == "0", text
    assert not left, text
    assert sorted(temporary.rglob("*")) == []
    assert sorted(home.rglob("*")) == []
    scenes = [line for line in text.splitlines() if line[:1].isdigit() and ". " in line[:4]]
    assert len(scenes) >= 8, text
    assert "provenance and SBOM are signed by key" in text, "what prod runs was verified"
    stays = [line for line in text.splitlines() if " stays: named in prod at " in line]
    assert len(stays) == 2, f"prod's version and the one before it: {text}"
    assert "The whole loop took" in text
