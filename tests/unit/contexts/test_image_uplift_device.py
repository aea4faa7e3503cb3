"""TensorFlow stays off cards that it has no code for.

The decision is proven on a stand-in of TensorFlow with the few calls that are used; on the real one, 2.11.1 as in
DeepPrep, by `test_the_real_tensorflow`, where UPLIFT_TENSORFLOW_PYTHON names an interpreter that has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[3] / "contexts/image/image_uplift_device.py"
DRIVER = Path(__file__).parent / "fake_driver.c"
# What TensorFlow 2.11 wants to find before it looks at a card.
LIBRARIES = (
    *("cudart.so.11.0", "cublas.so.11", "cublasLt.so.11", "cufft.so.10", "curand.so.10", "cusolver.so.11"),
    *("cusparse.so.11", "cudnn.so.8"),
)
TENSORFLOW = """
import os
__version__ = "2.11.1"
cards = [(int(card[:-1]), int(card[-1])) for card in os.environ.get("CARDS", "").split()]
class config:
    visible = list(cards)
    def list_physical_devices(kind):
        print("cuda was started")
        return list(cards)
    def set_visible_devices(devices, kind):
        assert kind == "GPU"
        config.visible = devices
    class experimental:
        def get_device_details(card):
            return {"device_name": "RTX", "compute_capability": card}
"""
SCRIPT = """
import importlib, os
print(os.environ.get("NOTHING_YET", "start"))
import tensorflow.keras, tensorflow
print("visible", tensorflow.config.visible, tensorflow.__spec__.loader is tensorflow.__loader__)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the fake driver, and empty libraries of CUDA 11."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    folder = tmp_path_factory.mktemp("driver")
    for name, source in {**dict.fromkeys(LIBRARIES, os.devnull), "cuda.so.1": DRIVER, "nvidia-ml.so.1": DRIVER}.items():
        command = ["gcc", "-w", "-shared", "-fPIC", "-o", str(folder / f"lib{name}"), "-x", "c", str(source)]
        subprocess.run(command, check=True)
    return folder


def start(
    folder: Path, script: str, *, python: str = sys.executable, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a script as an interpreter does whose environment has the hook."""
    (folder / HOOK.name).write_bytes(HOOK.read_bytes())
    call = 'import image_uplift_device as d; d.install({"tensorflow": {"up_to": "9.0"}}); '
    call += 'd.install({"tensorflow": {"up_to": "9.0"}})\n'  # as where the folder has two names
    (folder / "run.py").write_text(call + script)
    clean = {key: value for key, value in os.environ.items() if key not in ("CUDA_VISIBLE_DEVICES", "PYTHONPATH")}
    env = {**clean, "PYTHONPATH": str(folder), **environ}
    return subprocess.run([python, str(folder / "run.py")], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder with the stand-in of TensorFlow."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow/__init__.py").write_text(TENSORFLOW)
    (tmp_path / "tensorflow/keras.py").write_text("")
    return tmp_path


def test_a_later_card_is_hidden_and_one_line_says_so(stand_in: Path) -> None:
    done = start(stand_in, SCRIPT, CARDS="120")
    assert done.stdout.splitlines() == ["start", "cuda was started", "visible [] True"]
    assert done.stderr == (
        "image-uplift: TensorFlow 2.11.1 has no code for RTX (12.0) and runs on the CPU; "
        "IMAGE_UPLIFT_DEVICE=gpu lets it try\n"
    )


def test_of_several_cards_those_that_are_served_stay(stand_in: Path) -> None:
    done = start(stand_in, SCRIPT, CARDS="80 120 90")
    assert "visible [(8, 0), (9, 0)]" in done.stdout
    assert "runs on the other cards" in done.stderr


@pytest.mark.parametrize("cards", ["", "80", "86 90"])
def test_where_all_cards_are_served_nothing_changes(stand_in: Path, cards: str) -> None:
    done = start(stand_in, SCRIPT, CARDS=cards)
    assert f"visible {[(int(card[0]), int(card[1])) for card in cards.split()]}" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("environ", [{"IMAGE_UPLIFT_DEVICE": "gpu"}, {"CUDA_VISIBLE_DEVICES": ""}])
def test_the_user_has_the_last_word(stand_in: Path, environ: dict[str, str]) -> None:
    done = start(stand_in, SCRIPT, CARDS="120", **environ)
    assert "cuda was started" not in done.stdout
    assert ("visible [(12, 0)] True" in done.stdout, done.stderr) == (True, "")


def test_cuda_is_started_only_where_there_is_a_later_card(stand_in: Path, driver: Path) -> None:
    environ = {"LD_LIBRARY_PATH": str(driver), "CARDS": "80"}
    assert "cuda was started" not in start(stand_in, SCRIPT, FAKE_CARD="80", **environ).stdout
    assert "cuda was started" in start(stand_in, SCRIPT, FAKE_CARD="120", **environ).stdout
    assert "cuda was started" in start(stand_in, SCRIPT, FAKE_CARD="80", FAKE_NVML="9", **environ).stdout


def test_an_import_never_fails_by_this(stand_in: Path) -> None:
    (stand_in / "tensorflow/__init__.py").write_text("class config: visible = 1\n")
    done = start(stand_in, SCRIPT)
    assert "visible 1" in done.stdout
    assert done.stderr.startswith("image-uplift: TensorFlow can't be held back from the card: AttributeError")
    (stand_in / "tensorflow/__init__.py").write_text("raise ImportError('its own reason')\n")
    assert "its own reason" in start(stand_in, SCRIPT).stderr
    shutil.rmtree(stand_in / "tensorflow")
    assert "No module named 'tensorflow'" in start(stand_in, SCRIPT).stderr


# The lines that SynthMorph's scripts start with (mri_synthmorph_joint.py), and a sum to see where it runs.
SYNTHMORPH = """
import tensorflow as tf
gpus = tf.config.experimental.list_physical_devices(device_type='GPU')
for gpu in gpus:
    tf.config.experimental.set_memory_growth(gpu, True)
print("physical", len(gpus), "ran on", tf.matmul(tf.ones((4, 4)), tf.ones((4, 4))).device)
import ctypes
count = ctypes.c_int()
ctypes.CDLL("libcuda.so.1").cuDeviceGetCount(ctypes.byref(count))
print("others see", count.value)
"""


@pytest.mark.heavy  # an interpreter with TensorFlow, named by UPLIFT_TENSORFLOW_PYTHON
def test_the_real_tensorflow(tmp_path: Path, driver: Path) -> None:
    python = os.environ["UPLIFT_TENSORFLOW_PYTHON"]
    environ = {"LD_LIBRARY_PATH": str(driver), "TF_CPP_MIN_LOG_LEVEL": "1"}
    late = start(tmp_path, SYNTHMORPH, python=python, FAKE_CARD="120", **environ)
    assert "has no code for Fake card (12.0) and runs on the CPU" in late.stderr
    assert late.stdout.splitlines()[-2:] == [
        "physical 1 ran on /job:localhost/replica:0/task:0/device:CPU:0",
        "others see 1",
    ]
    # Where it is served, or told to try, it goes for the card, which is none.
    for environ_of_card in ({"FAKE_CARD": "80"}, {"FAKE_CARD": "120", "IMAGE_UPLIFT_DEVICE": "gpu"}):
        tried = start(tmp_path, SYNTHMORPH, python=python, **environ, **environ_of_card)
        assert tried.returncode == 1
        assert "image-uplift" not in tried.stderr
        assert "cudaGetDevice() failed" in tried.stderr
