"""The flags of compiler calls: the packaging alone, on calls as setup.py files make them; no compiler runs here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.contexts.scripts import load

flags = load("wheel/flags.py")

OURS = ["-gencode=arch=compute_120,code=sm_120"]
# As they stand in calls that nvcc 13.0 takes (tried with --dryrun).
SPELLINGS = {
    "-gencode=arch=compute_90,code=sm_90": "sm_90",
    "-gencode arch=compute_90,code=sm_90": "sm_90",
    "--generate-code=arch=compute_90,code=sm_90": "sm_90",
    "--generate-code arch=compute_90,code=sm_90": "sm_90",
    "-gencode code=sm_90,arch=compute_90": "sm_90",
    "-gencode=arch=compute_90,code=[sm_90,compute_90]": "compute_90, sm_90",
    "-gencode=arch=compute_90a,code=sm_90a": "sm_90a",
    "-gencode=arch=compute_120,code=sm_120 -gencode=arch=compute_90,code=sm_90": "sm_120, sm_90",
    "-gencode=arch=compute_120,code=compute_120": "compute_120",
    "-arch=sm_90": "compute_90, sm_90",
    "-arch sm_90": "compute_90, sm_90",
    "-arch=compute_90": "compute_90",
    "--gpu-architecture=sm_90": "compute_90, sm_90",
    "--gpu-architecture sm_90": "compute_90, sm_90",
    "-arch=compute_90 -code=sm_90": "sm_90",
    "--gpu-architecture compute_90 --gpu-code sm_90,compute_90": "compute_90, sm_90",
    "-arch=native": "native",
    "-arch=all": "all",
    "-arch all-major": "all-major",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "FLAGS_ARCHS": "12.0",
        "FLAGS_TOP": "/build/x-1.0",
        "FLAGS_SEEDED": "nvcc c++",
        "FLAGS_MAPPED": "nvcc c++",
        "FLAGS_FOREIGN": str(tmp_path / "foreign"),
    }


def call(words: str, environment: dict[str, str]) -> list[str]:
    """What becomes of a call of nvcc, without what makes two compiles equal."""
    settled = flags.settle(["ccache", "/cuda/bin/nvcc", *words.split()], environment)
    assert settled[:2] == ["ccache", "/cuda/bin/nvcc"]
    return [word for word in settled[2:] if not ("random-seed" in word or "prefix-map" in word or word == "-Xcompiler")]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_other_archs_give_way_in_every_spelling(
    spelling: str, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = call(f"-O3 {spelling} -c /build/x-1.0/a.cu -o a.o --use_fast_math", environment)
    assert words == ["-O3", "-c", "/build/x-1.0/a.cu", "-o", "a.o", "--use_fast_math", *OURS]
    assert f"/build/x-1.0/a.cu asks for {SPELLINGS[spelling]}; compiled for 12.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("archs", "options"),
    [
        ("12.0", "-gencode=arch=compute_120,code=sm_120"),
        ("8.0;12.0", "-gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_120,code=sm_120"),
        ("9.0a", "-gencode arch=compute_90a,code=sm_90a"),
        ("8.6 12.0+PTX", "-gencode=arch=compute_120,code=[sm_120,compute_120] -gencode=arch=compute_86,code=sm_86"),
        ("12.0+PTX", "-arch=sm_120"),
    ],
)
def test_the_recipes_own_archs_stay_as_they_stand(archs: str, options: str, environment: dict[str, str]) -> None:
    environment["FLAGS_ARCHS"] = archs
    assert call(f"{options} -c a.cu -o a.o", environment) == f"{options} -c a.cu -o a.o".split()
    assert flags.summary(Path(environment["FLAGS_FOREIGN"]), archs) == ""


def test_ptx_is_put_in(environment: dict[str, str]) -> None:
    environment["FLAGS_ARCHS"] = "8.0,12.0+PTX"
    assert call("-arch=sm_90 -c a.cu", environment)[2:] == [
        "-gencode=arch=compute_120,code=compute_120",
        "-gencode=arch=compute_120,code=sm_120",
        "-gencode=arch=compute_80,code=sm_80",
    ]


def test_a_call_without_archs_gets_them_and_nobody_is_blamed(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("-c a.cu -o a.o", environment) == ["-c", "a.cu", "-o", "a.o", *OURS]
    assert call("-x cu -c a.cpp", environment) == ["-x", "cu", "-c", "a.cpp", *OURS]
    assert call("a.cu -o program", environment)[-1:] == OURS
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "words",
    [
        "--version",
        "-V",
        "--help",
        "--list-gpu-arch",
        "-dryrun -arch=sm_90 -c a.cu -o a.o",
        "--dryrun -gencode=arch=compute_90,code=sm_90 a.cu",
        "-E -arch=sm_90 a.cu",
        "-M -arch=sm_90 a.cu",
        "-shared -arch=sm_90 a.o b.o -o a.so",
        "--ptx -arch=sm_90 a.cu -o a.ptx",
        "-cubin -arch sm_90 a.cu",
        "-gencode=arch=compute_90,code=sm_90 -c host.cpp -o host.o",
    ],
)
def test_what_compiles_no_device_code_is_left_alone(words: str, environment: dict[str, str]) -> None:
    assert call(words, environment) == words.split()


def test_a_device_link_is_for_the_same_archs(environment: dict[str, str]) -> None:
    assert call("-dlink a.o -arch=sm_90 -o link.o", environment) == ["-dlink", "a.o", "-o", "link.o", *OURS]


def test_what_another_program_is_told_stays(environment: dict[str, str]) -> None:
    words = "-Xcudafe -arch=x --ptxas-options -code=x -c a.cu"
    assert call(words, environment) == [*words.split(), *OURS]


def test_a_file_of_options_that_names_archs_is_read(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "archs").write_text("-O2 -arch=sm_90")
    (tmp_path / "other").write_text("-O2")
    words = call(f"--options-file {tmp_path}/archs,{tmp_path}/other -optf={tmp_path}/gone -c a.cu", environment)
    assert words == ["-O2", *_files(tmp_path / "other"), *_files(tmp_path / "gone"), "-c", "a.cu", *OURS]


def _files(path: Path) -> list[str]:
    return ["--options-file", str(path)]


def test_own_archs_are_kept(environment: dict[str, str]) -> None:
    words = "-gencode arch=compute_90a,code=sm_90a -c a.cu"
    assert call(words, {**environment, "FLAGS_ARCHS": ""}) == words.split()


def test_it_is_said_once_and_summed_up(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for source in ("a.cu", "b.cu", "c.cu"):
        call(f"-gencode arch=compute_1.,code=sm_1. -c {source}", environment)
    call("-arch=sm_90 -c d.cu", environment)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in said] == [
        "flags.py: a.cu asks for sm_1.",
        "flags.py: d.cu asks for compute_90, sm_90",
    ]
    assert flags.summary(Path(environment["FLAGS_FOREIGN"]), "12.0") == (
        "archs: 4 calls of nvcc asked for compute_90, sm_1., sm_90; compiled for 12.0"
    )


def added(command: list[str], environment: dict[str, str]) -> list[str]:
    settled = flags.settle(command, environment)
    assert settled[: len(command)] == command
    return [word for word in settled[len(command) :] if word not in OURS]


def test_each_source_has_a_seed_of_its_own_wherever_it_is_built(environment: dict[str, str]) -> None:
    found = {}
    for top in ("/build/x-1.0", "/elsewhere/x"):
        environment["FLAGS_TOP"] = top
        for compiler in ("/usr/bin/c++", "/cuda/bin/nvcc"):
            for source in ("a.cu", "b.cu"):
                command = [compiler, "-c", f"{top}/csrc/{source}", "-o", "/tmp/x.o"]
                found[top, compiler, source] = added(command, environment)
    assert {len({tuple(words[:1]) for words in found.values()})} == {4}  # a seed for each source and compiler
    host, device = (found["/build/x-1.0", name, "a.cu"] for name in ("/usr/bin/c++", "/cuda/bin/nvcc"))
    assert host[0].startswith("-frandom-seed=seed-")
    assert host[1:] == ["-ffile-prefix-map=/build/x-1.0=x-1.0"]
    assert device == [f"-{host[0]}", "-Xcompiler", "-ffile-prefix-map=/build/x-1.0=x-1.0"]


def test_the_seed_does_not_know_a_folder_outside_the_package(environment: dict[str, str]) -> None:
    one, other = (added(["c++", "-c", f"/tmp/{folder}/gen.cpp"], environment) for folder in ("tmpa1", "tmpb2"))
    assert one == other


def test_a_seed_that_is_given_stays_and_unknown_options_are_left_out(environment: dict[str, str]) -> None:
    mapped = "-ffile-prefix-map=/build/x-1.0=x-1.0"
    assert added(["nvcc", "-frandom-seed=7", "-c", "a.cu"], environment) == ["-Xcompiler", mapped]
    assert added(["nvcc", "-c", "a.cu"], {**environment, "FLAGS_SEEDED": "c++"}) == ["-Xcompiler", mapped]
    assert added(["c++", "-c", "a.cpp"], {**environment, "FLAGS_SEEDED": "", "FLAGS_MAPPED": ""}) == []


@pytest.mark.parametrize("words", ["c++ -shared a.o -o a.so", "c++ --version", "cmake -c a.cpp", "python -c a.cu"])
def test_links_questions_and_other_programs_stay_as_they_are(words: str, environment: dict[str, str]) -> None:
    assert flags.settle(words.split(), environment) == words.split()


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs c++")
@pytest.mark.parametrize(("help_text", "seeded"), [("--frandom-seed <seed>", "c++ nvcc"), ("--threads", "c++")])
def test_compilers_are_asked_what_they_know(
    help_text: str, seeded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nvcc = tmp_path / "nvcc"
    nvcc.write_text(f"#!/bin/sh\necho '{help_text}'\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("NVCC_PREPEND_FLAGS", "-arch=sm_90 -O2 '-DX=a b'")
    monkeypatch.setenv("NVCC_APPEND_FLAGS", "--threads 4")
    found = flags.settings(Path("/build/x"), "12.0", tmp_path / "foreign", nvcc)
    assert (found["FLAGS_SEEDED"], found["FLAGS_MAPPED"]) == (seeded, "c++ nvcc")
    assert found["NVCC_PREPEND_FLAGS"] == "-O2 '-DX=a b'"
    assert "NVCC_APPEND_FLAGS" not in found
    assert ("knows no --frandom-seed" in capsys.readouterr().out) == (seeded == "c++")
