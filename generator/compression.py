"""How layers are compressed: the same for engine, registry and caches, since BuildKit keeps the first form of a blob.

Whatever an export asks for, it takes the blob that is there (unless it is forced to, which would make the base's
layers anew too). So an image that was loaded without compression is pushed without it later, and a cache of another
form is one more form to make. Measured (``tests/bench/results/export-*.md``): zstd at its default level (3) costs
little more than no compression, since hashing and writing are most of the work. Gzip and level 7 took half as long
again, level 9 four times; level 1 saved nothing in one of two runs, and makes blobs 4 % larger.
"""

from __future__ import annotations

FORM = "compression=zstd"  # fields of buildx' output and cache-to; without a level BuildKit takes 3
