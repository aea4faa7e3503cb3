"""How layers are compressed: the same for engine, registry and caches, since BuildKit keeps the first form of a blob.

Whatever an export asks for, it takes the blob that is there (unless it is forced to, which would make the base's
layers anew too). So an image that was loaded without compression is pushed without it later, and a cache of another
form is one more form to make. Measured (``tests/bench/results/export-*.md``): level 1 of zstd takes the least CPU of
all forms, less than no compression, which leaves more bytes to hash and to write; level 3 takes half as much again
for 4 % fewer bytes.
"""

from __future__ import annotations

FORM = "compression=zstd,compression-level=1"  # fields of buildx' output and cache-to
