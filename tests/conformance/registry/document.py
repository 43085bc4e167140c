"""The registry's part of docs/conformance.md, out of what the suite's tests recorded. Pure."""

import json
import re
from collections.abc import Sequence

from conformance.document import Result
from conformance.registry.facets import Facet
from conformance.registry.report import format_facets, format_table, format_totals
from conformance.registry.results import Results

HEAD = """## Registry

Written by `make conformance-registry`; `make check-conformance-registry` fails where this is not what it finds.

`tests/conformance/registry` is a program of its own, written from the text of the OCI distribution specification:
{facets} facets of the API by {data_sets} data sets, over raw HTTP, for version 1.1 and for the current draft (dev). It
runs on any registry, yours too:

```console
$ PYTHONPATH=tests python -m conformance.registry --url http://127.0.0.1:5000 --version dev --json results.json
```

A check passes, fails, is an error (there was no readable answer), or is skipped (the registry declined what the
specification lets it decline). A check of several facets counts once in the totals, and once for each facet below. Both
registries were examined in the same run; docker-registry is Debian's, with deletion enabled. The suite itself was tried
on {mutations} registries that are broken on purpose, each in its own way: it found every one.

"""
OURS = "Towpath"
NOT_RUN = "docker-registry was NOT RUN: it is not installed here.\n"


def format_registry(results: Sequence[Result]) -> str:
    """The part."""
    runs = [
        Results.from_json(json.loads(str(one.properties["registry"])))
        for one in results
        if "registry" in one.properties
    ]
    runs.sort(key=lambda run: (run.registry != OURS, run.registry, run.version))
    mutations = sum("test_a_broken_registry_is_found" in one.nodeid and one.outcome == "passed" for one in results)
    data_sets = max((len(run.data_sets) - 1 for run in runs), default=0)
    parts = [HEAD.format(facets=len(Facet), data_sets=data_sets, mutations=mutations), format_totals(runs)]
    if len({run.registry for run in runs}) == 1:
        parts.append(f"\n{NOT_RUN}")
    parts += ["\n### Facets\n\nChecks passed, of all checks; the worst outcome where not all passed.\n\n"]
    parts.append(format_facets(runs))
    parts.append("\nIn the tables that follow, the columns are the facets by these numbers.\n")
    parts.extend(f"\n### {run.registry}, version {run.version}\n\n{format_table(run)}" for run in runs)
    return "".join(parts)


def find_examined(text: str) -> list[str]:
    """The registries in the table of totals, by name and version: docker-registry is the machine's."""
    return list(dict.fromkeys(re.findall(r"^\| ([^|]+) \| (?:1\.1|dev) \|(?: \d+ \|)+$", text, re.MULTILINE)))
