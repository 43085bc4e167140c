"""Kubernetes objects as plain data: kinds, patches, server-side apply, diff, health. No I/O, no clock, no randomness.

Times, uids and random suffixes come in as arguments. What is unknown is kept: an unrecognised field survives every
read and write.
"""
