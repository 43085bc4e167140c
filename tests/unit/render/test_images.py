from towpath.kube.objects import Object, ObjectKey
from towpath.render.images import ContainerImage, find_images, set_images


def deployment() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "dev"},
        "spec": {
            "template": {
                "spec": {
                    "initContainers": [{"name": "prepare", "image": "r/tool:1"}],
                    "containers": [{"name": "web", "image": "r/web:canary"}, {"name": "proxy"}],
                }
            }
        },
    }


def cron_job() -> Object:
    spec = {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "r/web:canary"}]}}}}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "n"}, "spec": spec}


def config() -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"containers": "no"}}


def test_images_are_found_in_every_container_of_every_pod_template() -> None:
    key = ObjectKey("apps", "Deployment", "dev", "web")
    assert find_images([deployment(), config(), cron_job()]) == [
        ContainerImage(key, "prepare", "r/tool:1"),
        ContainerImage(key, "web", "r/web:canary"),
        ContainerImage(ObjectKey("batch", "CronJob", "", "n"), "c", "r/web:canary"),
    ]


def test_images_of_kinds_unknown_here_are_found() -> None:
    rollout = {**deployment(), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    assert [found.image for found in find_images([rollout])] == ["r/tool:1", "r/web:canary"]


def test_only_the_named_images_are_replaced() -> None:
    objects = [deployment(), cron_job()]
    set_images(objects, {"r/web:canary": "r/web:canary@sha256:1"})
    assert [found.image for found in find_images(objects)] == ["r/tool:1"] + ["r/web:canary@sha256:1"] * 2
