from dataclasses import replace
from typing import Any

import pytest

from towpath.cluster.node.sandbox.argv import Mount, OptionError, Sandbox, prepare_argv, prepare_options

POD_TMP = "/tmp"  # noqa: S108 - the pod's
PLAIN = Sandbox(layers=["/l1", "/l2"], command=["serve", "--port", "1"], env={"A": "b c"}, uid=7, gid=8, hostname="web")


def options_of(sandbox: Sandbox) -> list[str]:
    content = prepare_options(sandbox)
    assert content.endswith(b"\0")
    return [option.decode() for option in content[:-1].split(b"\0")]


def after(options: list[str], name: str) -> list[str]:
    return [options[i + 1] for i, option in enumerate(options) if option == name]


def test_only_the_command_shows_in_the_process_list() -> None:
    assert prepare_argv("/bwrap", PLAIN) == ["/bwrap", "--args", "3", "--", "serve", "--port", "1"]


def test_layers_are_stacked_lowest_first_under_a_throwaway_upper() -> None:
    options = options_of(PLAIN)
    assert after(options, "--overlay-src") == ["/l1", "/l2"]
    assert options[options.index("--tmp-overlay") + 1] == "/"
    assert options.index("--tmp-overlay") < options.index("--proc")


def test_user_host_name_and_namespaces_are_set_and_capabilities_dropped() -> None:
    options = options_of(PLAIN)
    assert after(options, "--uid") == ["7"]
    assert after(options, "--gid") == ["8"]
    assert after(options, "--hostname") == ["web"]
    assert after(options, "--cap-drop") == ["ALL"]
    assert {"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"} <= set(options)
    assert "--unshare-net" not in options  # the broker has entered the pod's namespace already


def test_a_mount_inside_another_comes_after_it() -> None:
    mounts = [Mount("/h/inner", "/data/inner"), Mount("/h/outer", "/data", read_only=True)]
    options = options_of(replace(PLAIN, mounts=mounts))
    assert options.index("/h/outer") < options.index("/h/inner")
    assert after(options, "--ro-bind") == ["/h/outer"]
    assert after(options, "--bind") == ["/h/inner"]


def test_nothing_of_the_platforms_environment_comes_along() -> None:
    options = options_of(PLAIN)
    assert options.index("--clearenv") < options.index("--setenv")
    assert "A" in after(options, "--setenv")
    assert options[options.index("A") + 1] == "b c"
    assert "PATH" in after(options, "--setenv")


def test_a_working_directory_that_the_image_lacks_is_made() -> None:
    options = options_of(replace(PLAIN, directory="/srv/app"))
    assert "/srv/app" in after(options, "--dir")
    assert after(options, "--chdir") == ["/srv/app"]


def test_a_read_only_root_is_closed_after_everything_is_mounted() -> None:
    options = options_of(replace(PLAIN, read_only_root=True, mounts=[Mount("/h", "/data")]))
    assert options.index("--remount-ro") > options.index("/h")
    assert POD_TMP not in after(options, "--dir")


def test_a_volume_at_tmp_is_not_covered() -> None:
    assert POD_TMP not in after(options_of(replace(PLAIN, mounts=[Mount("/h", POD_TMP)])), "--dir")


def test_without_overlayfs_the_containers_own_copy_is_bound() -> None:
    options = options_of(replace(PLAIN, layers=["/copy"], overlay=False))
    assert options[options.index("/copy") - 1 : options.index("/copy") + 2] == ["--bind", "/copy", "/"]


def test_a_working_directory_is_made_by_bubblewrap_only_where_no_link_can_be() -> None:
    mounts = [Mount("/h", "/data")]
    for directory in ("/data", "/data/w", "/proc/self/cwd", "/dev/shm"):  # noqa: S108 - the pod's
        options = options_of(replace(PLAIN, mounts=mounts, directory=directory))
        assert directory not in after(options, "--dir")
        assert after(options, "--chdir") == [directory]
    assert "/database" in after(options_of(replace(PLAIN, mounts=mounts, directory="/database")), "--dir")


def test_tmp_is_made_where_it_leads() -> None:
    assert "/var/tmp" in after(options_of(replace(PLAIN, temporary="/var/tmp")), "--dir")  # noqa: S108 - the pod's


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"A": "x\0--bind\0/\0/mnt"}},
        {"env": {"A\0--bind\0/\0/mnt": "x"}},
        {"directory": "/\0--bind\0/\0/mnt"},
        {"hostname": "a\0--bind"},
        {"mounts": [Mount("/h", "/data\0--dev-bind\0/\0/mnt")]},
    ],
)
def test_no_text_of_an_image_or_a_pod_becomes_an_option(changes: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="NulCharacter"):
        prepare_options(replace(PLAIN, **changes))


def test_programs_inside_may_be_kept_from_making_user_namespaces() -> None:
    assert "--disable-userns" in options_of(replace(PLAIN, nested_namespaces=False))
    assert "--disable-userns" not in options_of(PLAIN)
