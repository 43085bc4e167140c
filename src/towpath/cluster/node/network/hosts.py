"""The files by which a pod knows names: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname` (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from towpath.kube.objects import Object, find_path, name_of, namespace_of

HOSTS_HEAD = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def hostname_of(pod: Object) -> str:
    """`spec.hostname`, else the pod's name, cut to what a host name may be."""
    return str(find_path(pod, "spec", "hostname") or name_of(pod))[:63].rstrip("-.")


def format_hosts(pod: Object, address: str, *, domain: str, extra: Iterable[tuple[str, Sequence[str]]] = ()) -> str:
    """`/etc/hosts` of a pod: itself, its `hostAliases`, and further entries as (address, names)."""
    host, subdomain = hostname_of(pod), find_path(pod, "spec", "subdomain")
    own = [f"{host}.{subdomain}.{namespace_of(pod)}.svc.{domain}", host] if subdomain else [host]
    entries: list[tuple[str, Sequence[str]]] = [(address, own)]
    entries += [(a.get("ip", ""), a.get("hostnames") or []) for a in find_path(pod, "spec", "hostAliases") or []]
    entries += extra
    return HOSTS_HEAD + "".join(f"{ip}\t{' '.join(names)}\n" for ip, names in entries if ip and names)


def format_resolv_conf(pod: Object, *, nameserver: str, domain: str, host_content: str) -> str:
    """`/etc/resolv.conf` of a pod, by its `dnsPolicy` and `dnsConfig`.

    Args:
        pod: its specification.
        nameserver: of the cluster; "" where there is none.
        domain: of the cluster.
        host_content: the host's own file, for `dnsPolicy: Default`.
    """
    policy = find_path(pod, "spec", "dnsPolicy") or "ClusterFirst"
    config: Mapping[str, Any] = find_path(pod, "spec", "dnsConfig") or {}
    if policy == "Default" or not nameserver:
        return host_content
    servers, searches, options = [], [], []
    if policy != "None":
        servers = [nameserver]
        searches = [f"{namespace_of(pod)}.svc.{domain}", f"svc.{domain}", domain]
        options = ["ndots:5"]
    servers += config.get("nameservers") or []
    searches += [search for search in config.get("searches") or [] if search not in searches]
    for option in config.get("options") or []:
        name = option.get("name", "")
        options = [known for known in options if known.partition(":")[0] != name]
        options.append(f"{name}:{option['value']}" if option.get("value") else name)
    lines = [f"nameserver {server}" for server in servers]
    lines += [f"search {' '.join(searches)}"] if searches else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def service_entries(
    names: Iterable[tuple[str, str, Sequence[str]]], *, namespace: str, domain: str
) -> list[tuple[str, list[str]]]:
    """Hosts entries for Services given as (namespace, name, addresses), as seen from one namespace."""
    entries = []
    for owner, name, addresses in names:
        spelled = [f"{name}.{owner}.svc.{domain}", f"{name}.{owner}.svc", f"{name}.{owner}"]
        if owner == namespace:
            spelled.append(name)
        entries += [(address, spelled) for address in addresses]
    return entries
