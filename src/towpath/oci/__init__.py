"""References, digests, descriptors, manifests, image configurations, keyrings: OCI as values. No I/O.

Bytes are identity: a manifest is stored, hashed and sent as it was received, never re-encoded.
"""
