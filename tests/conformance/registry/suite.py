"""The suite: all parts in their order, on one registry, for one version.

`run_suite(target, version)` needs nothing of Towpath: any registry over HTTP will do, with a user who may push to, pull
from and delete in two repositories.
"""

from collections.abc import Collection

from conformance.registry.blobs import examine_blobs
from conformance.registry.cycle import examine_data_set
from conformance.registry.data_sets import BLOBS, NONE, prepare_data_set, titles_of
from conformance.registry.examination import Examination
from conformance.registry.facets import Version
from conformance.registry.refusals import examine_nothing, examine_refusals
from conformance.registry.results import Results
from conformance.registry.wire import Target, Wire


def run_suite(
    target: Target,
    version: Version,
    *,
    seed: str,
    name: str = "",
    repository: str = "conformance",
    only: Collection[str] = (),
) -> Results:
    """Examine a registry.

    Args:
        target: the registry.
        version: the version to hold it to.
        seed: contents are made from it; a new one for each run on a registry that keeps what was pushed.
        name: what the results call the registry; its address unless given.
        repository: two repositories below this name are used.
        only: titles of data sets to restrict the run to.
    """
    titles = tuple(title for title in titles_of(version) if not only or title in only)
    results = Results(name or target.url, version, titles)
    with Wire(target) as wire:
        exam = Examination(wire, version, results, f"{repository}/one", f"{repository}/two", seed)
        if NONE in titles:
            examine_nothing(exam)
        for algorithm, title in BLOBS.items():
            if title in titles:
                examine_blobs(exam, algorithm)
        for title in titles:
            data = prepare_data_set(title, seed)
            if data is not None:
                examine_data_set(exam, data)
        examine_refusals(exam, titles)
    return results
