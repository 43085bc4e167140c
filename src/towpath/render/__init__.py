"""Kustomize: from an overlay's directory to Kubernetes objects, by the real kustomize."""
