"""Keeps the memory of a long-lived process near what it uses, where the C library is glibc.

By default glibc gives each thread an arena of its own, and after the first large block is freed it takes ever larger
ones from the heap, where they leave holes. Builds run in threads and move large blocks, so the platform would keep some
40 MiB that it uses for a second. Measured: one arena and a fixed threshold change no time that a build or a push takes.
"""

import ctypes

# From malloc.h.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
# glibc's own first value; setting it stops it from growing. Larger blocks go back to the system when they are freed.
_MAPPED_BYTES = 128 * 1024


def keep_memory_small() -> bool:
    """Set the allocator up; call it before the first thread. False where the C library has no such settings."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    arena, threshold = mallopt(_M_ARENA_MAX, 1), mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
    return bool(arena and threshold)
