"""Start the sensor and serve until told to stop."""

import os
import signal
import sys
import threading
import time

from faults import Faults
from sensor import Sensor
from server import create_server
from settings import Settings, SettingsError

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    # Blocked before any thread starts, so that only `sigwait` below receives them: no handler, no polling.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(f"sensor cannot start: {error}", file=sys.stderr)
        return 2
    sensor = Sensor(settings, Faults(clock=time.monotonic, crash=crash), clock=time.time)
    try:
        server = create_server(settings.address, sensor)
    except OSError as error:
        print(f"sensor cannot listen on {settings.address[0]}:{settings.address[1]}: {error}", file=sys.stderr)
        return 1
    # We never ask the server to stop, so it need not wake up to see whether we did.
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 3600}, daemon=True).start()
    print(f"sensor {settings.name} {settings.version} listens on {server.server_address[1]}", flush=True)
    received = signal.sigwait(STOP_SIGNALS)
    server.server_close()
    print(f"sensor {settings.name} stopped by {signal.Signals(received).name}", flush=True)
    return 0


def crash() -> None:
    """Die as a bug would: at once, without cleaning up."""
    print("sensor crashes, as it was told to", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
