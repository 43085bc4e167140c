"""Package databases of Debian and Alpine: what is installed, and how the world names it."""

from towpath.build.os_packages import parse_apk_database, parse_dpkg_status, parse_os_release, with_distribution

DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u4
Description: GNU C Library: Shared libraries
 Contains the standard libraries.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: login
Status: install ok installed
Architecture: amd64
Version: 1:4.13+dfsg1-1
"""
APK = """\
C:Q1abc=
P:musl
V:1.2.5-r0
A:x86_64
L:MIT

P:busybox
V:1.36.1-r29
A:x86_64
L:GPL-2.0-only
F:bin
R:busybox
"""


def test_installed_packages_of_debian_are_found_and_removed_ones_are_not() -> None:
    found = parse_dpkg_status(DPKG)
    assert [(one.name, one.version) for one in found] == [("libc6", "2.36-9+deb12u4"), ("login", "1:4.13+dfsg1-1")]


def test_one_stanza_of_a_distroless_image_has_no_status() -> None:
    (found,) = parse_dpkg_status("Package: tzdata\nVersion: 2024a\nArchitecture: all\n")
    assert found.name == "tzdata"


def test_packages_of_alpine_are_found_with_their_licences() -> None:
    found = parse_apk_database(APK)
    assert [(one.name, one.version, one.license) for one in found] == [
        ("musl", "1.2.5-r0", "MIT"),
        ("busybox", "1.36.1-r29", "GPL-2.0-only"),
    ]


def test_package_urls_name_the_distribution() -> None:
    _, login = parse_dpkg_status(DPKG)
    named = with_distribution(login, "debian-12")
    assert named.purl == "pkg:deb/debian/login@1%3A4.13%2Bdfsg1-1?arch=amd64&distro=debian-12"
    assert named.notes == {}
    musl, _ = parse_apk_database(APK)
    assert with_distribution(musl, "").purl == "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64"
    assert with_distribution(named, "alpine-3") == named


def test_the_distribution_is_the_one_that_the_image_states() -> None:
    assert parse_os_release('PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n') == "debian-12"
    assert parse_os_release("ID='wolfi'\n") == "wolfi"
    assert parse_os_release("") == ""


def test_a_database_of_garbage_has_no_packages() -> None:
    assert parse_dpkg_status("\0\0 garbage\n\nPackage: only-a-name\n") == []
    assert parse_apk_database("\0\n\nP:only-a-name\n") == []
