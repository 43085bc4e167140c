"""The sensor's metrics, as OpenMetrics or as the older Prometheus text format.

Both have the same samples; they differ in how a counter is declared and in how a document ends.
"""

import resource
from collections.abc import Mapping
from dataclasses import asdict

from faults import KINDS
from sensor import Sample, Sensor

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

_READINGS = {
    "temperature_celsius": "Air temperature.",
    "relative_humidity_ratio": "Relative humidity of the air, from 0 to 1.",
    "pressure_pascals": "Air pressure.",
}


def content_type(accept: str) -> str:
    """The format a client gets: OpenMetrics unless it asks for plain text only."""
    return PROMETHEUS if "text/plain" in accept and "openmetrics" not in accept else OPENMETRICS


def render(sensor: Sensor, sample: Sample, requests: Mapping[tuple[str, int], int], *, openmetrics: bool) -> str:
    """The whole document."""
    document = _Document(openmetrics)
    build = {"version": sensor.settings.version, "commit": sensor.settings.commit, "sensor": sensor.settings.name}
    document.gauge("sensor_build_info", "Which build answers.", [(build, 1)])
    document.gauge("sensor_signal_up", "Whether the sensor has a signal.", [({}, int(sample.reading is not None))])
    if sample.reading is not None:
        for field, value in asdict(sample.reading).items():
            document.gauge(f"sensor_{field}", _READINGS[field], [({}, value)])
    active = {kind: sensor.faults.intensity(kind) for kind in KINDS}
    document.gauge("sensor_fault_intensity_ratio", "Active faults.", [({"kind": k}, v) for k, v in active.items()])
    document.gauge("sensor_leaked_bytes", "Memory held by the leak.", [({}, sensor.faults.leaked_bytes)])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    document.gauge("sensor_peak_memory_bytes", "Most memory the process ever had.", [({}, peak)])
    document.counter(
        "sensor_requests",
        "Answers given.",
        [({"path": path, "code": str(code)}, count) for (path, code), count in sorted(requests.items())],
    )
    return document.text()


class _Document:
    def __init__(self, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._lines: list[str] = []

    def gauge(self, name: str, help_text: str, samples: list[tuple[dict[str, str], float]]) -> None:
        self._family(name, "gauge", help_text)
        self._samples(name, samples)

    def counter(self, name: str, help_text: str, samples: list[tuple[dict[str, str], float]]) -> None:
        self._family(name if self._openmetrics else f"{name}_total", "counter", help_text)
        self._samples(f"{name}_total", samples)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in [*self._lines, *(["# EOF"] if self._openmetrics else [])])

    def _family(self, name: str, kind: str, help_text: str) -> None:
        self._lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]

    def _samples(self, name: str, samples: list[tuple[dict[str, str], float]]) -> None:
        for labels, value in samples:
            shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
            self._lines.append(f"{name}{{{shown}}} {value}" if shown else f"{name} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
