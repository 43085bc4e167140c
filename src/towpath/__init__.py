"""Towpath: a GitOps platform pipeline in one process."""

__version__ = "0.1.0"
