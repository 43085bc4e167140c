"""The base `host`: the running interpreter as a base layer, so that a build needs no network and no other image.

Made once and kept under a fingerprint of everything that went in (path, size, time of each host file, and the rules
below); a new interpreter or a security update of a library gives a new base on the next start.

The environment turns off output buffering and the writing of byte code, which a read-only root would refuse. What is
taken and what is left out: `host_files`; how it is written: `host_layer`.
"""

import hashlib
import platform as host

from towpath.build.cache import Layer, LayerCache, cache_errors
from towpath.build.compression import compressor_name
from towpath.build.entries import BuildError
from towpath.build.host_files import CERTIFICATES, HostFile, Interpreter, find_files
from towpath.build.image import Base, LayerBlob
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.image import History, ImageConfig, format_image_config
from towpath.oci.platform import Platform

HOST = "host"
# How the first line of its history begins; an image on it is told by that.
HOST_HISTORY = "towpath base host"
# Part of the fingerprint: raise it whenever the content of the base changes for an unchanged host.
_RULES = "2"


def host_platform() -> Platform:
    """The platform of this machine, in OCI's words."""
    return Platform.of(os="linux", machine=host.machine())


def prepare_host_base(cache: LayerCache, interpreter: Interpreter, platform: Platform) -> Base:
    """The base `host`, from the cache when nothing of the host changed. Blocks: 10 ms, or 2 s when it is made.

    Raises:
        BuildError: the platform is not this machine's, or the interpreter cannot be taken along.
        CacheError: no space, or no permission.
    """
    mine = host_platform()
    if not mine.matches(platform):
        raise BuildError(
            f"base host cannot be made for {platform} (PlatformMismatch): this machine is {mine}",
            hint="name an image of that platform as the service's base in towpath.yaml",
        )
    files = find_files(interpreter)
    key = _fingerprint(interpreter, files)
    layer = cache.find(key)
    if layer is None:
        # Made once for a Python: what compiles and strips is not loaded by the builds that find it made.
        from towpath.build.host_layer import write_host_layer  # noqa: PLC0415

        with cache_errors(cache.blobs):
            layer = write_host_layer(cache, interpreter, files)
        cache.put(key, layer)
    return _base(cache, interpreter, layer, mine, certificates=any(file.path == CERTIFICATES for file in files))


def _base(cache: LayerCache, interpreter: Interpreter, layer: Layer, mine: Platform, *, certificates: bool) -> Base:
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if certificates:
        env["SSL_CERT_FILE"] = f"/{CERTIFICATES}"
    config = ImageConfig(
        platform=mine,
        env=env,
        diff_ids=(layer.diff_id,),
        history=(History(created_by=f"{HOST_HISTORY}: Python {interpreter.version}"),),
    )
    blob = LayerBlob(Descriptor(media.OCI_LAYER_GZIP, layer.digest, layer.size), cache.path(layer.digest), shared=True)
    return Base(HOST, None, config, format_image_config(config), (blob,))


def _fingerprint(interpreter: Interpreter, files: list[HostFile]) -> str:
    key = hashlib.sha256()
    for file in files:
        status = file.source.stat()
        key.update(repr((file.path, str(file.source), status.st_size, status.st_mtime_ns)).encode())
    return f"host {_RULES} {compressor_name()} {interpreter.version} {key.hexdigest()}"
