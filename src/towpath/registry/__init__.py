"""OCI distribution, the server side: protocol apart from storage, private by default, `sha-` tags immutable."""
