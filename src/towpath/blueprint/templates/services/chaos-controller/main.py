"""Start the chaos controller and run it until told to stop."""

import os
import signal
import sys
import threading
import time

from controller import Controller
from fleet import Kubernetes, KubernetesFleet
from journal import Journal
from server import create_server
from settings import Settings, SettingsError

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    # Blocked before any thread starts, so that only `sigwait` below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(f"chaos controller cannot start: {error}", file=sys.stderr)
        return 2
    journal = Journal(sys.stdout, clock=time.time)
    fleet = KubernetesFleet(Kubernetes(settings.api_url, settings.account), port=settings.sensor_port)
    controller = Controller(
        schedule_file=settings.schedule_file,
        fleet=fleet,
        journal=journal,
        own_namespace=settings.namespace,
        clock=time.monotonic,
    )
    try:
        server = create_server(settings.address, controller)
    except OSError as error:
        print(f"chaos controller cannot listen on port {settings.address[1]}: {error}", file=sys.stderr)
        return 1
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 3600}, daemon=True).start()
    threading.Thread(target=controller.run, daemon=True).start()
    journal.write("controller started", version=settings.version, port=server.server_address[1])
    received = signal.sigwait(STOP_SIGNALS)
    server.server_close()
    journal.write("controller stopped", signal=signal.Signals(received).name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
