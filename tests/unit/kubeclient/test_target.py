import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from towpath.http.certificates import ensure_certificates
from towpath.kubeclient.kubeconfig import Cluster, KubeconfigError
from towpath.kubeclient.target import load_target
from towpath.kubeclient.tls import create_tls_context


def write(path: Path, server: str, *, current: str = "lab") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"current-context: {current}\n"
        f"clusters: [{{name: home, cluster: {{server: '{server}'}}}}]\n"
        "contexts: [{name: lab, context: {cluster: home}}]\n"
    )
    return path


def test_a_named_file_wins_over_the_environment(tmp_path: Path) -> None:
    named = write(tmp_path / "named", "https://named")
    environ = {"KUBECONFIG": str(write(tmp_path / "other", "https://other"))}
    assert load_target(named, environ=environ).cluster.server == "https://named"


def test_the_files_of_the_environment_are_merged_and_missing_ones_passed_over(tmp_path: Path) -> None:
    first = write(tmp_path / "first", "https://first", current='""')
    second = write(tmp_path / "second", "https://second")
    environ = {"KUBECONFIG": f"{tmp_path / 'missing'}:{first}:{second}"}
    target = load_target(environ=environ)
    assert (target.name, target.cluster.server) == ("lab", "https://first")


def test_the_home_directory_is_looked_in(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", "https://home")
    assert load_target(environ={"HOME": str(tmp_path)}).cluster.server == "https://home"


@pytest.mark.parametrize(
    ("host", "server"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_a_pod_finds_its_own_cluster(tmp_path: Path, host: str, server: str) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("dev\n")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}
    target = load_target(environ=environ, service_account=tmp_path)
    assert (target.cluster.server, target.namespace) == (server, "dev")
    assert target.user.token_file == str(tmp_path / "token")
    assert target.cluster.authority_file == str(tmp_path / "ca.crt")


def test_nothing_anywhere_is_an_error_that_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=r"looked at .*\.kube/config") as caught:
        load_target(environ={"HOME": str(tmp_path)}, service_account=tmp_path)
    assert "KUBECONFIG" in caught.value.hint


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="missing: kubeconfig cannot be read"):
        load_target(tmp_path / "missing", environ={})


def test_a_cluster_s_own_authority_is_the_only_one_trusted(tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path, names=["localhost"], now=1_769_851_800.0)
    context = create_tls_context(
        Cluster(server="https://x", authority=made.authority_bytes()), certificate=b"", key=b""
    )
    assert context.cert_store_stats()["x509_ca"] == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_client_certificate_is_loaded_and_leaves_no_file_behind(tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path, names=["localhost"], now=1_769_851_800.0)
    certificate, key = made.certificate.read_bytes(), made.key.read_bytes()
    create_tls_context(Cluster(server="https://x"), certificate=certificate, key=key)
    with pytest.raises(KubeconfigError, match="client certificate cannot be used"):
        create_tls_context(Cluster(server="https://x"), certificate=certificate, key=b"")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"# \xc3\xa9\n", b"\0"])
def test_a_named_authority_without_a_certificate_never_means_the_machine_s_own_trust(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(KubeconfigError, match="is no certificate authority"):
        create_tls_context(
            Cluster(server="https://x", authority_file=str(tmp_path / "ca.crt")), certificate=b"", key=b""
        )


def test_comments_between_certificates_may_be_in_any_language(tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path, names=["localhost"], now=1_769_851_800.0)
    authority = "# Autorité\n".encode() + made.authority.read_bytes()
    context = create_tls_context(Cluster(server="https://x", authority=authority), certificate=b"", key=b"")
    assert context.cert_store_stats()["x509_ca"] == 1


def test_an_encrypted_key_is_refused_instead_of_asking_at_the_terminal(tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path, names=["localhost"], now=1_769_851_800.0)
    key = load_pem_private_key(made.key.read_bytes(), password=None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret"))
    with pytest.raises(KubeconfigError, match="client certificate cannot be used") as caught:
        create_tls_context(Cluster(server="https://x"), certificate=made.certificate.read_bytes(), key=encrypted)
    assert "not encrypted" in caught.value.hint


def test_what_is_no_authority_is_refused() -> None:
    with pytest.raises(KubeconfigError, match="is no certificate authority"):
        create_tls_context(Cluster(server="https://x", authority=b"nonsense"), certificate=b"", key=b"")


def test_an_insecure_cluster_is_not_verified() -> None:
    context = create_tls_context(Cluster(server="https://x", insecure=True), certificate=b"", key=b"")
    assert context.verify_mode is ssl.CERT_NONE
