"""The Kubernetes API over HTTP: a tested subset, good enough for kubectl.

It translates requests to the kernel's verbs and answers in the media types that kubectl asks for. It decides nothing
about objects: what is valid, who owns a field and what a delete does stands in `kernel` and `kube`.

    paths           URL -> verb, resource, namespace, name, subresource
    discovery       /api, /apis, aggregated discovery, /version
    openapi         /openapi/v3 per group and version
    tables          objects as the rows that `kubectl get` prints
    authentication  bearer token -> user;  authorization: user + verb -> yes or no (RBAC)
    streaming       watches and logs as chunked bodies
    app             the Starlette application that joins them
    certificates, kubeconfig   what a client needs to trust and reach it
"""
