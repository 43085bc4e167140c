import re
from uuid import UUID, uuid4

from towpath.cluster.kernel.names import ALPHABET, MAX_NAME_LENGTH, generate_name


def test_names_extend_the_prefix_by_five_characters() -> None:
    name = generate_name("run-", str(uuid4()))
    assert re.fullmatch(rf"run-[{ALPHABET}]{{5}}", name)


def test_a_long_prefix_is_cut_so_that_the_name_stays_a_label() -> None:
    name = generate_name("x" * 100, str(uuid4()))
    assert len(name) == MAX_NAME_LENGTH


def test_uids_that_follow_each_other_give_different_names() -> None:
    assert len({generate_name("n", str(UUID(int=number))) for number in range(1000)}) == 1000
