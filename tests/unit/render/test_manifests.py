import pytest

from towpath.render.manifests import ManifestError, parse_manifests

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def data_of(text: str) -> object:
    return parse_manifests(f"{HEAD}data: {{v: {text}}}".encode())[0]["data"]["v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020-01-01", "2020-01-01"),
        ("22:22", "22:22"),
        ("12", 12),
        ("0777", 0o777),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-7", -7),
        ("yes", True),
        ("off", False),
        ('"yes"', "yes"),
        ("~", None),
        ("a b", "a b"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, value: object) -> None:
    assert data_of(text) == value
    assert type(data_of(text)) is type(value)


def test_empty_documents_are_left_out_and_lists_are_opened() -> None:
    item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}"
    text = f"---\n---\n{HEAD}---\napiVersion: v1\nkind: ConfigMapList\nitems:\n- {item}\n"
    assert [obj["metadata"]["name"] for obj in parse_manifests(text.encode())] == ["a", "b"]


def test_nothing_is_no_object() -> None:
    assert parse_manifests(b"") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n", "document 1 is a list, expected an object"),
        ("a: b\n", "document 1 lacks apiVersion, kind, metadata.name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ''}\n", "document 1 lacks metadata.name"),
        (HEAD + "data: {a: 1, a: 2}\n", 'line 4: mapping key "a" already defined'),
        ("a: [1\n", "line 2: did not find expected ',' or ']'"),
    ],
)
def test_what_is_no_object_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifests(text.encode())
    assert caught.value.reason == reason


def test_a_bomb_of_aliases_is_refused_before_it_expands() -> None:
    levels = "".join(f"l{i + 1}: &l{i + 1} [{', '.join([f'*l{i}'] * 9)}]\n" for i in range(30))
    with pytest.raises(ManifestError, match="aliases"):
        parse_manifests(f"{HEAD}l0: &l0 [x]\n{levels}".encode())


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ManifestError):
        parse_manifests(b"\xff\xfe\x00\x01 a: \x00")
