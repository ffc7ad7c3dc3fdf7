"""Writes small files of foreign make to test/fixtures/data: what our readers of .npz, .npy, tar and images must understand.

From the root of the checkout, on Debian with python3-numpy and python3-pil:
    /usr/bin/python3 scripts/record-data-fixtures.py
"""
import io
import os
import tarfile

import numpy as np
from PIL import Image

FOLDER = "test/fixtures/data"
os.makedirs(FOLDER, exist_ok=True)


def path(name):
    return os.path.join(FOLDER, name)


# Every element type, as far as it goes, with the extremes of each.
np.savez(
    path("types.npz"),
    bool=np.array([[True, False], [False, True]]),
    uint8=np.array([0, 255], "uint8"),
    int8=np.array([-128, 127], "int8"),
    uint16=np.array([0, 65535], "uint16"),
    int16=np.array([-32768, 32767], "int16"),
    uint32=np.array([0, 4294967295], "uint32"),
    int32=np.array([-2147483648, 2147483647], "int32"),
    uint64=np.array([0, 2**53], "uint64"),
    int64=np.array([-(2**53), 2**53], "int64"),
    float32=np.array([0.1, -1e30], "float32"),
    float64=np.array([0.1, -1e300], "float64"),
    scalar=np.array(7.5),
    fortran=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    big=np.array([1, 2], ">i4"),
    text=np.array(["a", "b"]),
)

# A colour data set with channels last, compressed: pixel = 40 n + 10 h + 3 w + c.
n, h, w, c = np.indices((5, 4, 4, 3))
images = (40 * n + 10 * h + 3 * w + c).astype("uint8")
labels = np.array([0, 2, 1, 1, 0])
np.savez_compressed(path("images.npz"), x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])

# A tar archive as GNU tar writes it, with a folder, and one with a link, as POSIX.
def member(name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, io.BytesIO(content)


with tarfile.open(path("gnu.tar"), "w", format=tarfile.GNU_FORMAT) as tar:
    folder = tarfile.TarInfo("./box/")
    folder.type = tarfile.DIRTYPE
    tar.addfile(folder)
    tar.addfile(*member("./box/one.bin", b"1" * 700))
    tar.addfile(*member("box/empty.txt", b""))
with tarfile.open(path("posix.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
    tar.addfile(*member("d" * 90 + "/" + "f" * 60, b"long name"))
    link = tarfile.TarInfo("box/link")
    link.type = tarfile.SYMTYPE
    link.linkname = "/etc/passwd"
    tar.addfile(link)

# One smooth picture in several forms; the PNGs hold it exactly.
y, x = np.mgrid[0:6, 0:8]
colour = np.stack([30 * x, 40 * y, 10 * (x + y)], axis=-1).astype("uint8")
Image.fromarray(colour).save(path("colour.png"))
Image.fromarray(np.dstack([colour, np.full((6, 8), 77, "uint8")])).save(path("alpha.png"))
Image.fromarray(colour[..., 0]).save(path("grey.png"))
Image.fromarray(colour).quantize(48).save(path("palette.png"))
Image.fromarray((np.uint16(257) * colour[..., 0]).astype("uint16")).save(path("deep.png"))
Image.fromarray(colour).save(path("colour.jpg"), quality=95, subsampling=0)
Image.fromarray(colour[..., 0]).save(path("grey.jpg"), quality=95)
