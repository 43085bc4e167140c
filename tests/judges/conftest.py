"""What was not judged is said at the end of a run, by itself: a summary of skipped tests is easily read past."""

from collections import Counter

import pytest

MARK = "NOT RUN: "


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the programs that were missing, and how many judgements with each."""
    texts = (str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr)
    missing = Counter(text.partition(MARK)[2] for text in texts if MARK in text)
    if missing:
        terminalreporter.section("not judged")
        for reason, count in sorted(missing.items()):
            terminalreporter.write_line(f"{MARK}{count} tests: {reason}")
