from dataclasses import replace

from towpath.cluster.node.sandbox.argv import Mount, Sandbox
from towpath.cluster.node.sandbox.staging import Step, plan_staging

PLAIN = Sandbox(layers=["/l1"], command=["serve"], stage="/stage")


def test_mounts_side_by_side_need_no_staging() -> None:
    sandbox = replace(PLAIN, mounts=[Mount("/h/a", "/data"), Mount("/h/b", "/database", read_only=True)])
    assert plan_staging(sandbox) == (sandbox, [])


def test_a_mount_inside_another_is_put_there_beforehand() -> None:
    mounts = [Mount("/h/inner", "/data/x/y", read_only=True), Mount("/h/outer", "/data"), Mount("/h/etc", "/etc/hosts")]
    staged, steps = plan_staging(replace(PLAIN, mounts=mounts))
    assert staged.mounts == [Mount("/stage/0", "/data"), Mount("/h/etc", "/etc/hosts")]
    assert steps == [
        Step(source="/h/outer", target="/stage", below="0", shown="/data"),
        Step(source="/h/inner", target="/stage", below="0/x/y", read_only=True, shown="/data/x/y"),
    ]


def test_nothing_is_made_in_what_the_container_may_not_write() -> None:
    mounts = [
        Mount("/h/outer", "/data", read_only=True),
        Mount("/h/middle", "/data/m"),
        Mount("/h/inner", "/data/m/n"),
    ]
    _, steps = plan_staging(replace(PLAIN, mounts=mounts))
    assert [step.make for step in steps] == [True, False, True]
    assert [step.read_only for step in steps] == [True, False, False]


def test_a_part_of_a_volume_is_staged_even_alone() -> None:
    mounts = [Mount("/h/volume", "/data", read_only=True, inner="a/b")]
    staged, steps = plan_staging(replace(PLAIN, mounts=mounts))
    assert staged.mounts == [Mount("/stage/0", "/data")]
    assert steps == [Step(source="/h/volume", inner="a/b", target="/stage", below="0", read_only=True, shown="/data")]


def test_of_two_mounts_in_one_place_the_later_counts() -> None:
    staged, steps = plan_staging(replace(PLAIN, mounts=[Mount("/h/ours", "/etc/hosts"), Mount("/h/own", "/etc/hosts")]))
    assert staged.mounts == [Mount("/h/own", "/etc/hosts")]
    assert steps == []


def test_a_working_directory_inside_a_volume_is_made_there() -> None:
    mounts = [Mount("/h/a", "/a"), Mount("/h/b", "/b"), Mount("/h/c", "/b/c"), Mount("/h/r", "/r", read_only=True)]
    sandbox = replace(PLAIN, mounts=mounts)
    assert plan_staging(replace(sandbox, directory="/a/w"))[1][-1] == Step(target="/h/a", below="/w", shown="/a/w")
    inner = plan_staging(replace(sandbox, directory="/b/c/w"))[1][-1]
    assert inner == Step(target="/stage", below="1/c/w", shown="/b/c/w")
    for directory in ("/a", "/r/w", "/elsewhere"):
        assert all(step.source for step in plan_staging(replace(sandbox, directory=directory))[1])
