"""What can be wrong with an attestation or a key."""

from towpath.errors import TowpathError, UserError


class InvalidAttestationError(TowpathError):
    """Bytes that are not the attestation they are said to be. Verification turns it into a failed check."""


class KeyFileError(UserError):
    """A key cannot be read, written or used."""
