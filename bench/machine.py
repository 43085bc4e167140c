"""The machine on which was measured, and when, in one Markdown list."""

import os
import platform
import sqlite3
import subprocess
import time
from pathlib import Path


def parse_field(text: str, name: str) -> str:
    """The value of the first `name : value` line, as `/proc/cpuinfo` and `/proc/meminfo` have them; "" without one."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def describe_machine() -> str:
    """Processor, memory, kernel and programs."""
    processor = parse_field(Path("/proc/cpuinfo").read_text(), "model name") or platform.machine()
    mebibytes = int(parse_field(Path("/proc/meminfo").read_text(), "MemTotal").split()[0]) / 1024
    git = subprocess.run(["git", "version"], check=True, capture_output=True, text=True).stdout.split()[2]
    load = os.getloadavg()[0]
    lines = [
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, load before the run {load:.1f}",
        f"{processor}, {os.cpu_count()} cores, {mebibytes / 1024:.0f} GiB, {platform.machine()}",
        f"Linux {platform.release()}, Python {platform.python_version()}, git {git}, SQLite {sqlite3.sqlite_version}",
    ]
    return "\n".join(f"- {line}" for line in lines)
