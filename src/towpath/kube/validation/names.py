"""What counts as a name. Each rule returns the faults of a value, in upstream's words; an empty list is a good name."""

import re

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_VARIABLE = re.compile(r"[ -<>-~]+")  # printable ASCII but the equals sign, which ends a name
_PORT = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])*")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)


_NAME_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_QUALIFIED_TEXT = (
    f"a qualified name {_NAME_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)


def _fault(pattern: str, value: str, limit: int, text: str) -> list[str]:
    faults = [] if len(value) <= limit else [f"must be no more than {limit} bytes"]
    return faults if re.fullmatch(pattern, value) else [*faults, text]


def label_faults(value: str) -> list[str]:
    """Names of containers, namespaces, volumes: one DNS label."""
    return _fault(_LABEL, value, 63, _LABEL_TEXT)


def subdomain_faults(value: str) -> list[str]:
    """Names of most objects."""
    return _fault(_SUBDOMAIN, value, 253, _SUBDOMAIN_TEXT)


def segment_faults(value: str) -> list[str]:
    """Names of RBAC objects: anything that is one segment of a path."""
    if value in {".", ".."}:
        return [f"may not be '{value}'"]
    return [f"may not contain '{character}'" for character in "/%" if character in value]


def qualified_name_faults(value: str) -> list[str]:
    """Keys of labels and annotations: `name` or `prefix/name`."""
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        return [_QUALIFIED_TEXT]
    faults = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in subdomain_faults(prefix)]
    if not name:
        return [*faults, "name part must be non-empty"]
    return faults + [f"name part {fault}" for fault in _fault(_QUALIFIED, name, 63, _NAME_TEXT)]


def label_value_faults(value: str) -> list[str]:
    """Values of labels."""
    text = (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
        "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
        f"validation is '{_LABEL_VALUE}')"
    )
    return _fault(_LABEL_VALUE, value, 63, text)


def config_key_faults(value: str) -> list[str]:
    """Keys of ConfigMaps and Secrets: file names."""
    text = (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
        f"'KEY_NAME',  or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
    )
    faults = _fault(_CONFIG_KEY, value, 253, text)
    if value == ".":
        return [*faults, "must not be '.'"]
    if value.startswith(".."):
        return [*faults, "must not be '..'" if value == ".." else "must not start with '..'"]
    return faults


def variable_faults(value: str) -> list[str]:
    """Names of environment variables."""
    if _VARIABLE.fullmatch(value):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def port_name_faults(value: str) -> list[str]:
    """Names of container ports (IANA service names)."""
    faults = [] if len(value) <= 15 else ["must be no more than 15 characters"]
    if not _PORT.fullmatch(value):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if "--" in value:
        faults.append("must not contain consecutive hyphens")
    if not re.search("[a-z]", value):
        faults.append("must contain at least one letter (a-z)")
    return faults


def port_faults(value: int) -> list[str]:
    """Numbers of ports."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def relative_path_faults(value: str) -> list[str]:
    """Paths below a volume."""
    faults = ["must be a relative path"] if value.startswith("/") else []
    return [*faults, "must not contain '..'"] if ".." in value.split("/") else faults
