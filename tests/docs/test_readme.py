"""The README's own platform, typed as it stands there."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 120.0


def blocks() -> list[list[str]]:
    """The commands of each console block."""
    found = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [
        [line[2:].split("  #")[0].strip() for line in block.splitlines() if line.startswith("$ ")] for block in found
    ]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_the_commands_of_the_readme_work_in_their_order(tmp_path: Path) -> None:
    setup, usage = blocks()
    assert setup[0] == ". .venv/bin/activate"
    assert setup[-1] == "towpath up"
    port, kube_port = free_port(), free_port()  # the defaults may be taken on the machine of whoever tests
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    init = setup[1].replace("towpath init", f"towpath init --port {port}")
    subprocess.run(["bash", "-ec", init], cwd=tmp_path, env=env, check=True, capture_output=True)
    root = tmp_path / "my-homelab"
    blueprint = root / "towpath.yaml"
    blueprint.write_text(blueprint.read_text().replace("soak: 1m", "soak: 1s"))  # a test may not wait for a minute
    commit = ["git", "-c", "user.name=You", "-c", "user.email=you@example.com", "commit", "-qam", "Shorten the soak"]
    subprocess.run(commit, cwd=root, env=env, check=True)
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        argv = [str(BIN / "towpath"), "up", "--port", str(port), "--kube-port", str(kube_port)]
        platform = subprocess.Popen(argv, cwd=root, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while " is up at " not in log.read_text():
            assert platform.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the platform did not start"
            time.sleep(0.05)
        said = _type_all(usage, root, env)
    finally:
        platform.send_signal(signal.SIGTERM)
        platform.wait(30)

    assert "promoted sensor" in said["towpath promote sensor --to prod --wait 90"]
    assert "sensor-0" in said["kubectl get pods -A"]


def _type_all(commands: list[str], root: Path, env: dict[str, str]) -> dict[str, str]:
    """Type each command in one shell's environment; what each said. A rollback needs something to go back from."""
    said = {}
    exports: list[str] = []
    for command in commands:
        if command.startswith("towpath rollback"):
            # The first release has nothing before it: the README's reader comes here later, and so may be refused.
            done = subprocess.run(
                ["bash", "-c", command], cwd=root, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 3, done.stderr
            assert "NoGoodRelease" in done.stderr
            continue
        if command.startswith("export "):
            exports.append(command)
            continue
        script = "\n".join([*exports, command])
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=root,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        said[command] = done.stdout
    return said
