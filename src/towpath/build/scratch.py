"""The base `scratch`: nothing. An image on it has the service's own files and no other."""

from towpath.blueprint.model import SCRATCH_BASE
from towpath.build.image import Base
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.platform import Platform


def scratch_base(platform: Platform) -> Base:
    """The empty base of a platform."""
    config = ImageConfig(platform)
    return Base(SCRATCH_BASE, None, config, format_image_config(config), ())
