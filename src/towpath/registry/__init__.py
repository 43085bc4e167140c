"""OCI distribution, the server side: protocol apart from storage, private by default, `sha-` tags immutable.

`service` is the registry as a program sees it, `protocol` is it over HTTP, `storage` is files and SQLite below it;
`accounts`, `tokens` and `access` say who may do what. `app.create_registry_app` joins them.
"""
