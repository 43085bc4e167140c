"""Whether the repository that a running platform serves has lost anything."""

from fakes.platform import LivePlatform


def await_intact(platform: LivePlatform) -> None:
    """Wait until git finds every object that anything in the repository names.

    git looks at the objects first and at the refs afterwards. What a platform at work commits in between looks missing
    to it, and is found at the next look; what is lost is missing at every look.
    """

    def is_intact() -> bool:
        return platform.run(*argv, expect=None).code == 0

    argv = ("git", f"--git-dir={platform.hosted}", "fsck", "--no-dangling", "--no-progress")
    platform.await_("git to miss nothing", is_intact, show=lambda: platform.run(*argv, expect=None).text)
