from pathlib import Path

from towpath.cluster.node.image.catalogue import Catalogue
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

CONFIG = ImageConfig(Platform("linux", "amd64"), env={"A": "1"}, entrypoint=("x",), diff_ids=(Digest.of(b"l"),))
ONE, TWO = Digest.of(b"1"), Digest.of(b"2")
CANARY = Reference.parse("registry.test/app:canary")


def test_an_image_is_found_by_tag_and_by_digest_also_after_a_restart(tmp_path: Path) -> None:
    Catalogue(tmp_path).add(CANARY, ONE, CONFIG, now=1.0)
    catalogue = Catalogue(tmp_path)
    found = catalogue.find(CANARY)
    assert found is not None
    assert found.image_id == f"registry.test/app@{ONE}"
    assert found.config == CONFIG
    assert catalogue.find(Reference.parse(f"registry.test/app@{ONE}")) is not None
    assert catalogue.find(Reference.parse("registry.test/other:canary")) is None


def test_a_moved_tag_means_the_new_image_only(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add(CANARY, ONE, CONFIG, now=1.0)
    catalogue.add(CANARY, TWO, CONFIG, now=2.0)
    for opened in (catalogue, Catalogue(tmp_path)):
        found = opened.find(CANARY)
        assert found is not None
        assert found.digest == TWO
        assert opened.find(CANARY.with_digest(ONE)) is not None


def test_the_longest_unused_images_are_forgotten_but_never_one_in_use(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    digests = [Digest.of(str(n).encode()) for n in range(5)]
    images = [catalogue.add(CANARY.with_digest(digest), digest, CONFIG, now=n) for n, digest in enumerate(digests)]
    forgotten = catalogue.prune(in_use={images[0].image_id}, spare=2)
    assert [image.digest for image in forgotten] == [digests[2], digests[1]]
    assert {image.digest for image in Catalogue(tmp_path)} == {digests[0], digests[3], digests[4]}


def test_a_damaged_record_is_an_image_that_is_not_there(tmp_path: Path) -> None:
    Catalogue(tmp_path).add(CANARY, ONE, CONFIG, now=1.0)
    for path in tmp_path.glob("*.json"):
        path.write_bytes(path.read_bytes()[:-9])
    assert Catalogue(tmp_path).find(CANARY) is None
    assert list(tmp_path.iterdir()) == []
