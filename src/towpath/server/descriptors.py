"""Lets a long-lived process hold as many connections as its system allows, and not as many as a shell's program gets.

Most systems begin with 1024 descriptors and allow many more to who asks. A pull holds three: its connection, the
descriptor that a worker sends by, and the blob's file.
"""

import resource

# Five thousand pulls at once. No more: some programs look at every descriptor that they might have inherited.
DESCRIPTORS = 16 * 1024


def allow_many_descriptors() -> int:
    """Ask for as many as are allowed; says how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
