import io
import tarfile
from pathlib import Path

import pytest

from towpath.cluster.node.image.tarball import LayerError, unpack


@pytest.mark.parametrize("mtime", ["1e30", "-1e30", "nan"])
def test_a_time_that_no_file_can_have_is_a_damaged_layer(tmp_path: Path, mtime: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("main.py")
        info.size, info.pax_headers = 1, {"mtime": mtime}
        tar.addfile(info, io.BytesIO(b"x"))
    buffer.seek(0)

    with pytest.raises(LayerError, match="BadTar"):
        unpack(buffer, tmp_path)
