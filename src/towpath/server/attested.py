"""What is attached to images, as the gate asks for it: judged by the keys in `.towpath/keys`, read at each question."""

from collections.abc import Sequence
from pathlib import Path

from towpath.attest.findings import Finding
from towpath.attest.keyfiles import KEYS_DIRECTORY, find_trusted
from towpath.attest.verification import AttestedRegistry, Expectation, FindCommit, verify
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference


class TrustedAttestations:
    """`promote.gate.evidence.Attestations` over the registry and the platform's keys."""

    def __init__(self, state: Path, registry: AttestedRegistry, platform: Platform, find_commit: FindCommit) -> None:
        """Set up.

        Args:
            state: the platform's directory.
            registry: where the images are.
            platform: what the nodes run.
            find_commit: asks the platform repository.
        """
        self._keys = state / KEYS_DIRECTORY
        self._registry = registry
        self._platform = platform
        self._find_commit = find_commit

    def trusted(self) -> Sequence[str]:
        """The names of the keys that are believed."""
        return [key.key_id for key in find_trusted(self._keys)]

    async def examine(self, reference: Reference, commit: str) -> Sequence[Finding]:
        """What those keys say of an image that should be built from this commit."""
        expected = Expectation(find_trusted(self._keys), commit=commit, find_commit=self._find_commit)
        return (await verify(self._registry, reference, self._platform, expected)).findings
