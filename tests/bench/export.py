"""Benches what it costs to move a layer: ``python -m tests.bench.export --image IMAGE --path PATH``, as root.

For each form of compression, on both image stores of the engine: the blob is made, stored and unpacked on the engine,
sent to a registry on the loopback address, and pulled on an engine that holds nothing; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bake.errors import BuildFailed, Interrupted, UpliftError, UsageError
from generator.console.reporter import Reporter
from tests.bench.place import REGISTRY, Place, require_fit
from tests.bench.report import machine
from tests.engine.network.processes import PREFIX, run
from tests.engine.network.switch import FOLDERS

# BuildKit knows four speeds of zstd: below level 3, 3 to 6 (what it takes without a level), 7 and 8, 9 and above.
VARIANTS = {
    "uncompressed": "compression=uncompressed",
    "gzip": "compression=gzip",
    "zstd-1": "compression=zstd,compression-level=1",
    "zstd-3": "compression=zstd,compression-level=3",
    "zstd-7": "compression=zstd,compression-level=7",
    "zstd-9": "compression=zstd,compression-level=9",
}
STORES = ("containerd", "classic")
STEPS = ("made", "loaded", "sent", "pulled")
CONTENT = "bench-content:1"
LAYER = f"FROM {CONTENT} AS content\nFROM scratch\nARG FOLDER\nCOPY --from=content / /$FOLDER/\n"
GIGABIT = 125e6  # bytes per second
COPIES = 12  # of the content, on the disk at once: on two engines, in the registry, while it is copied
STEPS_SHOWN = ("blob made", "stored, unpacked", "sent", "pulled")
SUMS_SHOWN = ("**load**", "CPU", "**push**", "CPU", "push at 1 Gbit/s")
SIZES_SHOWN = ("in the registry", "on the engine", "more when pushed as zstd")
HEAD = ("store", "form", *STEPS_SHOWN, *SUMS_SHOWN, *SIZES_SHOWN)

Record = dict[str, Any]


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.export", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--image", required=True, help="image of the machine's engine that the content is copied from")
    parser.add_argument("--path", action="append", required=True, help="a folder in it; repeatable")
    parser.add_argument("--variant", action="append", choices=tuple(VARIANTS), help="repeatable; default: all")
    parser.add_argument("--store", action="append", choices=STORES, help="repeatable; default: both")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file (it goes to stdout as well)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    wanted = options(arguments)
    reporter = Reporter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleared away
    work = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-work-", dir=FOLDERS))
    try:
        bench(wanted, work, reporter)
    except UpliftError as error:
        reporter.failure(error)
        return error.exit_status
    except KeyboardInterrupt:
        reporter.failure(Interrupted("interrupted"))
        return Interrupted.exit_status
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


def bench(wanted: argparse.Namespace, work: Path, reporter: Reporter) -> None:
    """Measure all that is wanted; results are written after each step, so that an interrupted bench leaves some."""
    require_fit(0, 0)
    content = copied(wanted.image, wanted.path, work / "content")
    require_fit(COPIES * content["bytes"], 0)
    runs: list[Record] = []
    facts: dict[str, Any] = {}
    for store in dict.fromkeys(wanted.store or STORES):
        (work / store).mkdir()
        with Place("", work / store, containerd_store=store == "containerd") as place:
            version = place.engine.docker("version", "--format", "{{.Server.Version}}")
            facts = facts or machine(version, place.meter.group.source)
            exports = Exports(place, store, work / "content")
            for record in exports.run(tuple(dict.fromkeys(wanted.variant or VARIANTS))):
                reporter.note(_sentence(record))
                if record not in runs:
                    runs.append(record)
                _write(wanted, document(content, facts, runs))
    reporter.data(markdown(document(content, facts, runs)))


def copied(image: str, paths: Sequence[str], folder: Path) -> dict[str, Any]:
    """Copy folders out of an image of the machine's engine; gives how many files and bytes they have."""
    folder.mkdir()
    container = _docker("create", image, "none")
    try:
        for path in paths:
            _docker("cp", f"{container}:{path}", str(folder))
    finally:
        _docker("rm", container)
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    names = [path.rstrip("/").rpartition("/")[2] for path in paths]
    return {"folders": names, "files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _docker(*command: str) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(
            done.stderr.strip(), where=f"docker {command[0]}", remedy="give an image that is on this engine"
        )
    return done.stdout.strip()


class Exports:
    """Exports one layer in several forms on an engine of its own.

    Args:
        place: engine, registry and meter. store: the engine's, by name. content: folder with the layer's files.
    """

    def __init__(self, place: Place, store: str, content: Path) -> None:
        self.place = place
        self.store = store
        self.content = content
        self.layer = place.work / "layer"
        self.layer.mkdir()
        (self.layer / "Dockerfile").write_text(LAYER)

    def run(self, variants: Sequence[str]) -> Iterator[Record]:
        """Export all, then pull all on an emptied engine; each record comes a second time with its pull."""
        self._prepare()
        records = []
        for variant in variants:
            records.append(self._export(variant))
            yield records[-1]
        self.place.empty(base=False)
        for record in records:
            if record["failed"]:
                continue
            name = _name(record["variant"])
            record["pulled"] = self._measured(("docker", "pull", "--quiet", name))
            self.place.call(("docker", "image", "rm", name), cwd=self.layer)
            yield record

    def _prepare(self) -> None:
        """Put the content onto the engine, as an image."""
        file = self.place.work / "Dockerfile"
        file.write_text("FROM scratch\nCOPY . /\n")
        output = f"type=image,name={CONTENT},compression=uncompressed"
        command = ("docker", "buildx", "build", "--provenance=false", "--output", output, "--file", file, self.content)
        self.place.call(command, cwd=self.place.work)

    def _export(self, variant: str) -> Record:
        """Export one layer that the engine has no blob of yet."""
        form, name = VARIANTS[variant], _name(variant)
        record: Record = {"store": self.store, "variant": variant, "form": form, "failed": ""}
        self.place.call(self._build(variant, "type=cacheonly"), cwd=self.layer)
        engine, registry = self.place.engine.size(), self.place.stored_bytes()
        try:
            record["made"] = self._measured(self._build(variant, f"type=image,store=false,{form}"))
            record["loaded"] = self._measured(self._build(variant, f"type=image,name={name},{form}"))
            record["engine_bytes"] = self.place.engine.size() - engine
            record["sent"] = self._measured(
                self._build(variant, f"type=image,name={name},push=true,store=false,{form}")
            )
            record["registry_bytes"] = self.place.stored_bytes() - registry
            # What a push as zstd adds to a registry that has this layer in this form.
            again = f"type=image,name={_name(f'again-{variant}')},push=true,store=false,compression=zstd"
            self.place.call(self._build(variant, again), cwd=self.layer)
            record["bytes_as_zstd"] = self.place.stored_bytes() - registry - record["registry_bytes"]
        except BuildFailed as failure:
            record["failed"] = failure.message[-400:]
        self.place.call(("docker", "image", "rm", "--force", name), cwd=self.layer, allowed=(0, 1))
        self.place.call(("docker", "image", "prune", "--force"), cwd=self.layer)
        self.place.call(("docker", "buildx", "prune", "--all", "--force"), cwd=self.layer)
        return record

    def _build(self, variant: str, output: str) -> tuple[str | Path, ...]:
        """The command that exports the layer; each variant has its own folder in it, so that none shares a blob."""
        command = ("docker", "buildx", "build", "--provenance=false", "--build-arg", f"FOLDER={variant}")
        return (*command, "--output", output, self.layer)

    def _measured(self, command: Sequence[str | Path]) -> dict[str, Any]:
        """Run a client on a disk that has nothing left to write, and measure until that is so again."""
        run("sync")
        with self.place.meter.measured() as cost:
            self.place.call(command, cwd=self.layer)
            began = time.monotonic()
            run("sync")
            flushed = time.monotonic() - began
        return {**cost.as_data(), "flushed_seconds": round(flushed, 2)}


def _name(variant: str) -> str:
    return f"{REGISTRY}/bench/{variant}:1"


def document(content: Mapping[str, Any], place: Mapping[str, Any], runs: Sequence[Record]) -> dict[str, Any]:
    """All that was measured."""
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts = {name: value for name, value in place.items() if name != "gpu"}
    return {"schema": 1, "finished": finished, "machine": facts, "content": dict(content), "runs": list(runs)}


def total(record: Record, steps: Sequence[str], key: str = "seconds") -> float | None:
    """The sum of a figure over steps; None where one was not run."""
    if any(step not in record for step in steps):
        return None
    return float(sum(record[step][key] for step in steps))


def over_a_line(record: Record, rate: float = GIGABIT) -> float | None:
    """Seconds of a push over a line of ``rate`` bytes per second: BuildKit makes the blob first and sends it then."""
    if "made" not in record or "sent" not in record:
        return None
    made, sent = record["made"]["seconds"], record["sent"]["seconds"]
    return float(made + max(sent, record["registry_bytes"] / rate))


def markdown(data: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    place, content = data["machine"], data["content"]
    facts = (
        f"{place['cores']} cores ({place['processor']}), {place['memory'] / 1e9:.0f} GB of memory, Docker Engine "
        f"{place['engine']}, load before {place['load_before']}. One layer: {content['files']} files, "
        f"{content['bytes'] / 1e9:.2f} GB ({', '.join(content['folders'])}). CPU: {place['cpu_and_memory_of']}. "
        "Times are until the disk has it all."
    )
    lines = [HEAD, ("---",) * len(HEAD), *(_line(record) for record in data["runs"])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    failures = [f"{run['store']}, {run['variant']}: {run['failed']}" for run in data["runs"] if run["failed"]]
    return "\n\n".join([f"# Export of one layer, {data['finished']}", facts, table, *failures]) + "\n"


def _line(record: Record) -> tuple[str, ...]:
    steps = [total(record, (step,)) for step in STEPS]
    sums = [total(record, ("made", end), key) for end in ("loaded", "sent") for key in ("seconds", "cpu_seconds")]
    times = [f"{value:.0f} s" if value is not None else "–" for value in (*steps, *sums, over_a_line(record))]
    sizes = [record.get(key) for key in ("registry_bytes", "engine_bytes", "bytes_as_zstd")]
    return (
        record["store"],
        record["variant"],
        *times,
        *(f"{size / 1e9:.2f} GB" if size is not None else "–" for size in sizes),
    )


def _sentence(record: Record) -> str:
    if record["failed"]:
        return f"{record['store']}, {record['variant']}: failed: {record['failed']}"
    steps = (f"{step} {record[step]['seconds']:.1f} s" for step in STEPS if step in record)
    return f"{record['store']}, {record['variant']}: {', '.join(steps)}, {record['registry_bytes'] / 1e9:.2f} GB"


def _write(wanted: argparse.Namespace, data: dict[str, Any]) -> None:
    for path, text in ((wanted.json, json.dumps(data, indent=1) + "\n"), (wanted.markdown, markdown(data))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
