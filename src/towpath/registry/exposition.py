"""The registry's numbers as text: OpenMetrics for who accepts it, else the format that Prometheus has always read."""

from collections.abc import Iterable

from towpath.registry.counters import Family, Sample

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"


def format_exposition(families: Iterable[Family], *, accept: str) -> tuple[bytes, str]:
    """The text and its content type, as an `Accept` header asks."""
    is_open = "application/openmetrics-text" in accept
    lines: list[str] = []
    for family in families:
        # The older format knows a counter by the name of its sample only.
        name = family.name if is_open or family.kind != "counter" else f"{family.name}_total"
        lines += [f"# HELP {name} {family.text}", f"# TYPE {name} {family.kind}"]
        lines += [_format_sample(family, sample) for sample in family.samples]
    if is_open:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode(), OPENMETRICS if is_open else PLAIN


def _format_sample(family: Family, sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escape(value)}"' for name, value in sample.labels)
    value = int(sample.value) if float(sample.value).is_integer() else repr(sample.value)
    return f"{family.name}{sample.suffix}{{{labels}}} {value}" if labels else f"{family.name}{sample.suffix} {value}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
