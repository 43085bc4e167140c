"""Attestations: who built an image from what (provenance), and what is in it (SBOM), signed or not.

`dsse`, `statement`, `provenance`, `components`, `sbom`, `bundle` and `referrer` are values and functions without I/O;
`keys` does the cryptography, `keyfiles` reads and writes keys, `verification` asks a registry. What is attested is made
by `build`.
"""
