import base64
from typing import Any

import pytest
import yaml

from towpath.kubeclient.kubeconfig import KubeconfigError, merge_kubeconfigs, parse_kubeconfig


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def document(
    *, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, current: str = "lab", **rest: Any
) -> bytes:
    return yaml.safe_dump(
        {
            "clusters": [{"name": "home", "cluster": {"server": "https://10.0.0.1:6443", **(cluster or {})}}],
            "users": [{"name": "me", "user": user or {}}],
            "contexts": [{"name": "lab", "context": {"cluster": "home", "user": "me", "namespace": "dev"}}],
            "current-context": current,
            **rest,
        }
    ).encode()


def parse(content: bytes) -> Any:
    return parse_kubeconfig(content, source="/home/me/.kube/config")


def test_the_current_context_names_cluster_user_and_namespace() -> None:
    target = parse(document(user={"token": "abc"}, cluster={"certificate-authority-data": encoded("PEM")})).select()
    assert (target.name, target.namespace) == ("lab", "dev")
    assert (target.cluster.server, target.cluster.authority) == ("https://10.0.0.1:6443", b"PEM")
    assert target.user.token == "abc"


def test_a_context_may_be_chosen_by_name() -> None:
    contexts = [{"name": name, "context": {"cluster": "home", "namespace": name}} for name in ("lab", "prod")]
    assert parse(document(contexts=contexts)).select("prod").namespace == "prod"


def test_a_context_that_is_not_there_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(KubeconfigError, match="no context 'prod'") as caught:
        parse(document()).select("prod")
    assert "lab" in caught.value.hint


def test_without_a_current_context_one_has_to_be_named() -> None:
    with pytest.raises(KubeconfigError, match="current-context is not set"):
        parse(document(current="")).select()


def test_relative_paths_are_relative_to_the_file() -> None:
    target = parse(
        document(
            user={"client-certificate": "pki/me.crt", "client-key": "/abs/me.key"},
            cluster={"certificate-authority": "../ca.crt"},
        )
    ).select()
    assert target.user.certificate_file == "/home/me/.kube/pki/me.crt"
    assert target.user.key_file == "/abs/me.key"
    assert target.cluster.authority_file == "/home/me/.kube/../ca.crt"


def test_inline_data_wins_over_a_path() -> None:
    user = {
        "client-certificate": "a",
        "client-certificate-data": encoded("C"),
        "client-key": "b",
        "client-key-data": encoded("K"),
    }
    target = parse(document(user=user)).select()
    assert (target.user.certificate, target.user.certificate_file) == (b"C", "")
    assert (target.user.key, target.user.key_file) == (b"K", "")


def test_a_token_file_wins_over_a_token() -> None:
    user = parse(document(user={"token": "old", "tokenFile": "token"})).select().user
    assert (user.token, user.token_file) == ("", "/home/me/.kube/token")


def test_a_plugin_is_a_command_with_arguments_and_environment() -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "bin/token",
        "args": ["get", "--for", 7],
        "env": [{"name": "REGION", "value": "eu"}],
        "provideClusterInfo": True,
        "installHint": "  install it\n",
    }
    found = parse(document(user={"exec": plugin})).select().user.exec
    assert found is not None
    assert (found.command, found.args) == ("/home/me/.kube/bin/token", ("get", "--for", "7"))
    assert (found.env, found.provide_cluster_info, found.install_hint) == ({"REGION": "eu"}, True, "install it")


def test_a_plugin_without_a_slash_is_looked_up_on_the_path() -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws"}
    assert parse(document(user={"exec": plugin})).select().user.exec.command == "aws"


def test_impersonation_is_read() -> None:
    asked = {"as": "jane", "as-uid": "7", "as-groups": ["dev", "ops"], "as-user-extra": {"reason": ["duty"]}}
    user = parse(document(user=asked)).select().user
    assert (user.impersonate, user.impersonate_uid, user.impersonate_groups) == ("jane", "7", ("dev", "ops"))
    assert user.impersonate_extra == {"reason": ("duty",)}


@pytest.mark.parametrize("asked", [{"as-groups": ["dev"]}, {"as-uid": "7"}, {"as": "jane", "as-user-extra": ["duty"]}])
def test_impersonation_that_names_nobody_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(KubeconfigError, match="as-"):
        parse(document(user=asked)).select()


def test_the_first_file_to_name_something_wins() -> None:
    first = parse(document(user={"token": "first"}, current=""))
    second = parse(document(user={"token": "second"}))
    merged = merge_kubeconfigs([first, second])
    assert merged.current == "lab"
    assert merged.select().user.token == "first"


def test_a_bad_entry_hurts_only_who_selects_it() -> None:
    users = [{"name": "me", "user": {}}, {"name": "other", "user": {"token": 5}}]
    contexts = [
        {"name": "lab", "context": {"cluster": "home", "user": "me"}},
        {"name": "bad", "context": {"cluster": "home", "user": "other"}},
    ]
    config = parse(document(users=users, contexts=contexts))
    assert config.select().name == "lab"
    with pytest.raises(KubeconfigError, match="token must be a string"):
        config.select("bad")


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (document(user={"exec": "foo"}), "exec must be a mapping, not str"),
        (document(user={"exec": []}), "exec must be a mapping, not list"),
        (document(user={"exec": {}}), "command is missing"),
        (document(user={"exec": {**PLUGIN, "args": 5}}), "args must be a list, not int"),
        (document(user={"exec": {**PLUGIN, "args": "get"}}), "args must be a list, not str"),
        (document(user={"exec": {**PLUGIN, "args": [{"a": 1}]}}), "args must be a list of strings, not of dict"),
        (document(user={"exec": {**PLUGIN, "args": [None]}}), "args must be a list of strings, not of NoneType"),
        (document(user={"exec": {**PLUGIN, "args": ["a\0"]}}), "args must be a list of strings"),
        (document(user={"exec": {**PLUGIN, "command": "a\0"}}), "command has a NUL character"),
        (document(user={"exec": {**PLUGIN, "env": ["x"]}}), "exec.env must be a list of names and values, not of str"),
        (document(user={"exec": {**PLUGIN, "env": {"A": "b"}}}), "env must be a list, not dict"),
        (document(user={"exec": {**PLUGIN, "env": [{"value": "b"}]}}), "variable without a name"),
        (document(user={"exec": {**PLUGIN, "env": [{"name": "A=B"}]}}), "variable without a name"),
        (document(user={"exec": {**PLUGIN, "env": [{"name": "A", "value": ["b"]}]}}), "value must be a string"),
        (document(user={"as": "jane", "as-groups": [{"a": 1}]}), "as-groups must be a list of strings"),
        (document(user={"as": "jane", "as-user-extra": {"reason": [[]]}}), "reason must be a list of strings"),
        (document(users=[{"name": "me", "user": 0}]), "entry 'me' is malformed"),
        (document(cluster={"proxy-url": "socks4:::bad"}), "proxy-url must be an http or https address"),
        (document(cluster={"proxy-url": "socks5://p.lan:1"}), "proxy-url must be an http or https address"),
        (document(cluster={"proxy-url": "http://p.lan:x"}), "proxy-url must be .* not 'http://p.lan:x'"),
        (document(cluster={"server": "https://10.0.0.1:sixtyfour"}), "server must be .* not 'https://10.0.0.1:sixty"),
        (document(cluster={"server": "https://10.0.0.1:99999"}), "server must be .* not 'https://10.0.0.1:99999'"),
        (document(cluster={"server": "https://10.0.0.1:0"}), "server must be an http or https address"),
        (document(cluster={"server": "https://:6443"}), "server must be an http or https address"),
        (document(cluster={"server": "https://[::1"}), "server must be an http or https address"),
        (document(cluster={"server": "HTTPS://10.0.0.1"}), "server must be an http or https address"),
        (document(cluster={"server": "https://a b"}), "server must be an http or https address"),
        (document(cluster={"server": ["https://a"]}), "server must be a string, not list"),
        (b"a: [1", r"config:1: kubeconfig cannot be read \(BadYaml\)"),
        (b"a: 2024-13-45", r"config: kubeconfig cannot be read \(BadYaml\): month must be"),
        (b"[" * 9999, r"config: kubeconfig cannot be read \(BadYaml\)"),
        (b"- a", "expected a mapping"),
        (b"clusters: 5", "clusters must be a list"),
        (b"users: [{}]", "users has an unnamed entry"),
        (b"", "current-context is not set"),
        (document(cluster={"server": "10.0.0.1"}), "must be an http or https address"),
        (document(cluster={"certificate-authority-data": "%"}), "is not base64"),
        (document(cluster={"insecure-skip-tls-verify": "yes"}), "must be true or false"),
        (document(cluster={"insecure-skip-tls-verify": True, "certificate-authority": "x"}), "exclude each other"),
        (document(user={"client-key": "x"}), "belong together"),
        (document(user={"auth-provider": {"name": "gcp"}}), "use an exec plugin"),
        (document(user={"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}), "command is missing"),
        (document(user={"exec": {"command": "x", "apiVersion": "v0"}}), "'v0' is not known"),
        (document(user={"as-groups": "x"}), "as-groups must be a list, not str"),
        (
            document(
                user={
                    "exec": {
                        "command": "x",
                        "apiVersion": "client.authentication.k8s.io/v1",
                        "interactiveMode": "Always",
                    }
                }
            ),
            "nobody to ask",
        ),
    ],
)
def test_what_is_wrong_is_said(content: bytes, text: str) -> None:
    with pytest.raises(KubeconfigError, match=text):
        parse(content).select()


def test_a_proxy_s_password_is_not_in_the_error() -> None:
    with pytest.raises(KubeconfigError, match="proxy-url must be") as caught:
        parse(document(cluster={"proxy-url": "http://me:s3cret@proxy.lan:port"})).select()
    assert "s3cret" not in str(caught.value)


def test_a_file_without_contexts_says_what_to_do() -> None:
    with pytest.raises(KubeconfigError, match="no context 'lab'") as caught:
        parse(document(contexts=[])).select()
    assert "write one into the file, or name another" in caught.value.hint


def test_no_secret_shows_in_a_representation() -> None:
    shown = repr(parse(document(user={"token": "s3cret", "username": "u", "password": "s3cret"})).select())
    assert "s3cret" not in shown
