"""A prebuilt program: the right file for a platform, and every reason why it could not start, before it is built in."""

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.elf import elf
from towpath.blueprint.model import Service
from towpath.build.binary import check_program, other_programs, program_of
from towpath.build.entries import BuildError
from towpath.oci.platform import Platform

TOOL = Service("tool", "services/tool", base="scratch", binary="dist/tool-{arch}")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
AARCH64 = 183


def check(
    tmp_path: Path, content: bytes, service: Service = TOOL, libraries: frozenset[str] | None = frozenset()
) -> None:
    (tmp_path / "tool").write_bytes(content)
    check_program(service, AMD64, tmp_path / "tool", shown="services/tool/tool", libraries=libraries)


def test_the_platform_is_in_the_programs_name() -> None:
    service = replace(TOOL, binary="bin/{os}/{arch}{variant}/tool")

    assert program_of(service, AMD64) == "bin/linux/amd64/tool"
    assert program_of(service, Platform("linux", "arm", "v7")) == "bin/linux/armv7/tool"
    assert program_of(replace(TOOL, binary="tool"), ARM64) == "tool"


def test_the_programs_of_other_platforms_are_left_out() -> None:
    names = ["dist/tool-amd64", "dist/tool-arm64", "dist/tool-amd64.sig", "dist/other-arm64", "README.md"]

    assert other_programs(TOOL, AMD64, names) == {"dist/tool-arm64"}
    assert other_programs(replace(TOOL, binary="dist/tool-amd64"), AMD64, names) == frozenset()


def test_a_static_program_runs_on_nothing(tmp_path: Path) -> None:
    check(tmp_path, elf())


def test_a_program_for_another_processor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"PlatformMismatch.*expected amd64, got arm64"):
        check(tmp_path, elf(AARCH64))


def test_a_dynamic_program_on_nothing_is_told_what_it_lacks(tmp_path: Path) -> None:
    program = elf(loader="/lib64/ld-linux-x86-64.so.2", needed=("libssl.so.3", "libc.so.6"))
    with pytest.raises(BuildError, match="LibrariesMissing") as caught:
        check(tmp_path, program)

    assert "it needs /lib64/ld-linux-x86-64.so.2, libssl.so.3, libc.so.6" in caught.value.message
    assert "CGO_ENABLED=0" in caught.value.hint


def test_on_a_base_only_what_the_base_lacks_is_told(tmp_path: Path) -> None:
    program = elf(loader="/lib64/ld-linux-x86-64.so.2", needed=("libssl.so.3", "libc.so.6"))
    base = frozenset({"ld-linux-x86-64.so.2", "libc.so.6"})
    with pytest.raises(BuildError, match=r"on base r.example/base:1 \(LibrariesMissing\): it needs libssl.so.3$"):
        check(tmp_path, program, replace(TOOL, base="r.example/base:1"), base)

    check(tmp_path, program, TOOL, base | {"libssl.so.3"})
    check(tmp_path, program, TOOL, None)


def test_a_script_needs_a_base_that_can_run_it(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"NotElf.*a script, and base scratch has no interpreter"):
        check(tmp_path, b"#!/bin/sh\n")

    check(tmp_path, b"#!/bin/sh\n", replace(TOOL, base="r.example/base:1"))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"text", "NotElf"), (b"", "NotElf"), (elf(loader="/l")[:110], "BinaryDamaged")]
)
def test_what_is_no_program_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(BuildError, match=reason):
        check(tmp_path, content)


def test_a_program_that_is_not_committed_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="BinaryMissing") as caught:
        check_program(TOOL, AMD64, tmp_path / "gone", shown="services/tool/gone", libraries=None)

    assert "commit it" in caught.value.hint
