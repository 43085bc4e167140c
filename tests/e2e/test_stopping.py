"""However the platform is told to stop, it stops its pods in good order and leaves nothing behind."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from fakes.keeper import descendants
from fakes.platform import LivePlatform


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_to_the_whole_group_is_a_stop_and_not_a_fault(tmp_path: Path, number: signal.Signals) -> None:
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        platform.start()
        platform.push()
        platform.await_("pods to run", lambda: "bwrap" in " ".join(platform.family()))
        # As a terminal sends Ctrl-C and a supervisor its signal: to all of the platform's session, pods not among them.
        session = os.getsid(platform.pid)
        for pid in [*descendants(platform.pid), platform.pid]:
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == session:
                    os.kill(pid, number)
        code = platform.exit_code()
        log = platform.log_tail()
        platform.await_no_process()

    assert code == 0
    assert "is gone" not in log
