"""Packs UCI's letter-recognition.data into datasets/letter-recognition.br: 20000 rows of 17 bytes, 16 features and the label.

The file is part of Debian's opencv-doc; r-cran-mlbench has the same rows. Needs python3-brotli.
Run: /usr/bin/python3 scripts/pack-letters.py letter-recognition.data datasets/letter-recognition.br
"""

import hashlib
import sys

import brotli

SHA256 = "2b89f3602cf768d3c8355267d2f13f2417809e101fc2b5ceee10db19a60de6e2"

source, target = sys.argv[1:]
text = open(source, "rb").read()
if hashlib.sha256(text).hexdigest() != SHA256:
    sys.exit(f"{source}: not UCI's letter-recognition.data (SHA-256 {SHA256})")

packed = bytearray()
for line in text.decode().split():
    letter, *features = line.split(",")
    packed += bytes(map(int, features)) + bytes([ord(letter) - ord("A")])
open(target, "wb").write(brotli.compress(bytes(packed), quality=11, lgwin=24))
