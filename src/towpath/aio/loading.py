"""Import without collecting garbage: what is imported lives as long as the process, and to search it for garbage again
and again, as it grows, costs a tenth of a command's start.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing within the block, and nothing of what it made ever after."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
