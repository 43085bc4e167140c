"""HTTP server and client plumbing, domain-free: listeners, credentials on the wire, bounded bodies, retries.

It knows no route, no registry and no Kubernetes; the packages above bring their own Starlette applications.
"""
