"""The keys that the image specification predefines (annotations.md), and ours beside them.

As labels they stand in an image's configuration, as annotations in manifests and indexes.
"""

TITLE = "org.opencontainers.image.title"
REVISION = "org.opencontainers.image.revision"  # the full id of the commit that built it
SOURCE = "org.opencontainers.image.source"
CREATED = "org.opencontainers.image.created"  # RFC 3339
VERSION = "org.opencontainers.image.version"  # the artifact's tag
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
REF_NAME = "org.opencontainers.image.ref.name"

# On an entry of a set: the service whose image it is. The image is in the repository of that name beside the set's.
SERVICE = "dev.towpath.service"
# Git's id of the directory an image was built from: equal ids, equal content.
TREE = "dev.towpath.tree"

# The key that signed what an attestation holds. A hint that saves reading it; it proves nothing.
SIGNED_BY = "dev.towpath.key"
