from typing import Any

from towpath.cluster.node.network.hosts import format_hosts, format_resolv_conf, service_entries


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "fleet-0", "namespace": "dev"}, "spec": spec}


def hosts(obj: dict[str, Any], **more: Any) -> list[str]:
    return format_hosts(obj, "10.42.0.2", domain="cluster.local", **more).splitlines()[3:]


def test_a_pod_knows_itself() -> None:
    assert hosts(pod()) == ["10.42.0.2\tfleet-0"]


def test_a_pod_of_a_headless_service_knows_its_full_name() -> None:
    assert hosts(pod(hostname="zero", subdomain="fleet")) == ["10.42.0.2\tzero.fleet.dev.svc.cluster.local zero"]


def test_aliases_and_services_follow() -> None:
    aliases = [{"ip": "1.2.3.4", "hostnames": ["nas", "nas.lan"]}, {"ip": "", "hostnames": ["x"]}]
    entries = service_entries(
        [("dev", "web", ["127.77.0.9"]), ("prod", "web", ["127.77.0.8"])], namespace="dev", domain="d"
    )
    assert hosts(pod(hostAliases=aliases), extra=entries)[1:] == [
        "1.2.3.4\tnas nas.lan",
        "127.77.0.9\tweb.dev.svc.d web.dev.svc web.dev web",
        "127.77.0.8\tweb.prod.svc.d web.prod.svc web.prod",
    ]


def resolv(obj: dict[str, Any], nameserver: str = "10.43.0.10") -> str:
    return format_resolv_conf(obj, nameserver=nameserver, domain="cluster.local", host_content="nameserver 9.9.9.9\n")


def test_the_search_domains_are_the_kubelets() -> None:
    assert resolv(pod()) == (
        "nameserver 10.43.0.10\nsearch dev.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
    )


def test_the_hosts_own_file_is_used_where_the_policy_or_the_mode_says_so() -> None:
    assert resolv(pod(dnsPolicy="Default")) == "nameserver 9.9.9.9\n"
    assert resolv(pod(), nameserver="") == "nameserver 9.9.9.9\n"


def test_a_pods_own_dns_configuration_is_added_or_stands_alone() -> None:
    config = {
        "nameservers": ["1.1.1.1"],
        "searches": ["lan"],
        "options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}],
    }
    assert resolv(pod(dnsPolicy="None", dnsConfig=config)) == "nameserver 1.1.1.1\nsearch lan\noptions ndots:1 rotate\n"
    assert "options ndots:1 rotate" in resolv(pod(dnsConfig=config))
