import pytest

from towpath.blueprint.document import LARGEST_BYTES, BlueprintError, Document


def problems(document: Document) -> list[str]:
    return [str(problem) for problem in document.problems]


def test_an_empty_document_is_an_empty_mapping() -> None:
    for text in ("", "\n", "# only a comment\n", "---\n", "null"):
        document = Document("a.yaml")
        assert document.open(text).entries == {}
        assert document.problems == []


def test_text_that_is_not_yaml_is_placed_at_its_line() -> None:
    with pytest.raises(BlueprintError) as caught:
        Document("a.yaml").open("name: x\nservices: [\n")
    assert str(caught.value.problems[0]).startswith("a.yaml:3: not YAML: ")


def test_a_control_character_is_not_yaml() -> None:
    with pytest.raises(BlueprintError, match="not YAML"):
        Document("a.yaml").open("name: \x00\n")


def test_a_second_document_is_refused() -> None:
    with pytest.raises(BlueprintError, match=r"a\.yaml:3: not YAML: but found another document"):
        Document("a.yaml").open("name: x\n\n---\nname: y\n")


def test_a_huge_document_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BlueprintError, match="too large"):
        Document("a.yaml").open("#" * (LARGEST_BYTES + 1))


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(BlueprintError, match="not YAML"):
        Document("a.yaml").open("[" * 20_000)


def test_a_root_that_is_no_mapping_is_reported() -> None:
    document = Document("a.yaml")
    document.open("- a\n- b\n")
    assert problems(document) == ["a.yaml:1: got a list, expected a mapping"]


def test_a_key_given_twice_is_reported_with_both_lines() -> None:
    document = Document("a.yaml")
    document.open("name: a\nbranch: b\nname: c\n")
    assert problems(document) == ["a.yaml:3: name: the key is given twice, first on line 1"]


def test_a_key_that_is_no_text_is_reported() -> None:
    document = Document("a.yaml")
    document.open("[a, b]: c\n")
    assert problems(document) == ["a.yaml:1: got a list as a key, expected text"]


@pytest.mark.parametrize(
    ("yaml_value", "problem"),
    [
        ("7", "got a whole number (7), expected text; put it in quotes"),
        ("yes", "got true or false (yes), expected text; put it in quotes"),
        ("2026-01-31", "got a date (2026-01-31), expected text; put it in quotes"),
        ("[a]", "got a list, expected text"),
        ('""', "got empty text"),
    ],
)
def test_a_value_that_is_no_text_is_reported_with_its_type(yaml_value: str, problem: str) -> None:
    document = Document("a.yaml")
    assert document.open(f"name: {yaml_value}\n").text("name", "default") == "default"
    assert problems(document) == [f"a.yaml:1: name: {problem}"]


@pytest.mark.parametrize("yaml_value", ["0", "65536", "-1", "0x10", "8_0", "80.0", "'80'", "true"])
def test_a_number_out_of_bounds_or_of_another_form_is_reported(yaml_value: str) -> None:
    document = Document("a.yaml")
    assert document.open(f"port: {yaml_value}\n").integer("port", 8080, lowest=1, highest=65535) == 8080
    assert "expected a whole number from 1 to 65535" in problems(document)[0]


def test_a_list_of_texts_takes_numbers_as_they_are_written() -> None:
    document = Document("a.yaml")
    assert document.open("run: [a, 007, 1.50]\n").texts("run") == ("a", "007", "1.50")
    assert document.problems == []


def test_each_bad_item_of_a_list_is_reported() -> None:
    document = Document("a.yaml")
    assert document.open("run:\n  - a\n  - true\n  - {b: c}\n").texts("run") == ("a",)
    assert problems(document) == [
        "a.yaml:3: run[1]: got true or false, expected text",
        "a.yaml:4: run[2]: got a mapping, expected text",
    ]


def test_a_list_given_as_text_says_how_to_write_it() -> None:
    document = Document("a.yaml")
    assert document.open("run: python3 main.py\n").texts("run") == ()
    assert problems(document) == ['a.yaml:1: run: got text, expected a list of texts; write ["python3", "main.py"]']


def test_aliases_are_followed_and_cost_nothing() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n" + "run: *a\n"
    assert Document("a.yaml").open(bomb).texts("run") == ("x", "x")


def test_an_alias_of_itself_is_reported_not_followed_for_ever() -> None:
    document = Document("a.yaml")
    document.open("env: &env\n  again: *env\n").pairs("env")
    assert problems(document) == ["a.yaml:2: env.again: got a mapping, expected text"]
