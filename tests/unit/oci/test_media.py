from towpath.oci import media


def test_indexes_are_told_from_manifests() -> None:
    assert media.is_index(media.DOCKER_LIST)
    assert not media.is_index(media.DOCKER_MANIFEST)


def test_layers_name_their_compression() -> None:
    assert media.find_layer_compression(media.OCI_LAYER) == ""
    assert media.find_layer_compression(media.DOCKER_LAYER_GZIP) == "gzip"
    assert media.find_layer_compression(media.OCI_LAYER_ZSTD) == "zstd"
    assert media.find_layer_compression(media.OCI_CONFIG) is None


def test_layers_that_a_registry_need_not_hold_are_known() -> None:
    assert media.is_nondistributable("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    assert media.is_nondistributable("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    assert not media.is_nondistributable(media.OCI_LAYER)
