"""Operations on the card against the same on the CPU: torch's own kernels and those of compiled extensions.

References are computed on the CPU in float64 by torch's plain operations, never by the extension that is checked.
A tolerance is relative to the largest value of the reference: float32 has a rounding step of 6e-8, and sums of some
hundred terms in another order differ by some steps.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

import torch

from conversion.failures import ConversionError, describe
from conversion.gpu.checks import CARD, CHECK
from conversion.verify.archs import serving, sm_name
from conversion.verify.rows import FAIL, INFO, PASS, Row, judged

TOLERANCE = 1e-5
SEED = 0


def rows_of(part: str, spec: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of one part: the card, torch, or an extension; one that isn't installed only informs.

    Raises:
        ConversionError: the part isn't known.
    """
    if part == CARD:
        yield card_row(list(spec.get("archs", [])))
        return
    if part not in _PARTS:
        raise ConversionError(f"{part!r} is no part of the checks on a card")
    module, operations = _PARTS[part]
    torch.backends.cuda.matmul.allow_tf32 = False  # TF32 keeps 10 bits of 23: no tolerance worth its name holds then
    torch.backends.cudnn.allow_tf32 = False
    if importlib.util.find_spec(module) is None:
        promised = part in spec.get("extensions", [])
        yield Row(CHECK, part, "installed" if promised else "", "not installed", FAIL if promised else INFO)
        return
    importlib.import_module(module)
    for name, work in operations:
        subject = f"{part}: {name}"
        try:
            yield work(subject)
        except Exception as error:  # noqa: BLE001 - a kernel that can't run must not hide the others
            yield judged(CHECK, subject, "runs on the card", "it failed", False, describe(error))


def card_row(archs: Sequence[str]) -> Row:
    """The card that the checks run on, and whether the image was made for it."""
    expected = f"a card for {' '.join(archs)}" if archs else "a card"
    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"torch {torch.__version__} is built for CUDA {built}" if built else "torch is a CPU build"
        return judged(CHECK, CARD, expected, "none that torch can use", False, why + _reason())
    name = torch.cuda.get_device_name(0)
    major, minor = torch.cuda.get_device_capability(0)
    memory = torch.cuda.get_device_properties(0).total_memory
    return describe_card(name, f"{major}.{minor}", memory, archs, expected)


def describe_card(name: str, capability: str, memory: int, archs: Sequence[str], expected: str) -> Row:
    """The row of a card; `INFO` where the image has no code for it, with a detail that other rows repeat."""
    found = f"{name}, {capability}, {memory / 2**30:.0f} GiB"
    if not archs:
        return Row(CHECK, CARD, expected, found, PASS)
    serves = next((arch for arch in archs if serving(capability, [sm_name(arch)])), None)
    if serves is None:
        detail = f"the card's {capability} is not among the image's archs ({' '.join(archs)})"
        return Row(CHECK, CARD, expected, found, INFO, detail)
    return Row(CHECK, CARD, expected, found, PASS, "" if serves == capability else f"served by {serves}")


def _reason() -> str:
    try:
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001 - whatever it says is the reason
        return f": {describe(error)}"
    return ""


def compared(subject: str, found: Any, reference: Any, tolerance: float = TOLERANCE) -> Row:
    """A row on the largest difference of a result from its reference, relative to the reference's largest value."""
    expected = f"as on the CPU within {tolerance:.0e} of the largest value" if tolerance else "as on the CPU, exactly"
    found = found.detach().cpu().double()
    reference = reference.detach().double()
    if found.shape != reference.shape:
        shapes = f"{tuple(found.shape)} instead of {tuple(reference.shape)}"
        return judged(CHECK, subject, expected, f"has the shape {shapes}", False)
    gap = float((found - reference).abs().max()) / (float(reference.abs().max()) or 1.0)
    within = gap <= tolerance  # false for NaN
    return judged(CHECK, subject, expected, f"differs by {gap:.1e}", within, f"{found.numel()} values, float32")


def _random(*shape: int) -> Any:
    """The same values on every torch and card: they are made on the CPU."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(*shape, generator=generator)


def matmul(subject: str) -> Row:
    """A product of two matrices by cuBLAS."""
    a, b = _random(512, 1024), _random(1024, 256)
    return compared(subject, a.cuda() @ b.cuda(), a.double() @ b.double())


def convolution(subject: str) -> Row:
    """A convolution of a volume by cuDNN."""
    volume, kernel = _random(1, 4, 24, 24, 24), _random(8, 4, 3, 3, 3)
    on_card = torch.nn.functional.conv3d(volume.cuda(), kernel.cuda())
    return compared(subject, on_card, torch.nn.functional.conv3d(volume.double(), kernel.double()))


def _groups() -> Tuple[Any, Any, int]:
    values, size = _random(5000, 16), 400
    index = torch.arange(5000) * 7919 % size  # each group has some, in no order
    return values, index, size


def scatter_sum(subject: str) -> Row:
    """Sums of groups, in no order."""
    scatter = importlib.import_module("torch_scatter").scatter
    values, index, size = _groups()
    reference = torch.zeros(size, 16, dtype=torch.float64).index_add_(0, index, values.double())
    return compared(subject, scatter(values.cuda(), index.cuda(), dim=0, dim_size=size, reduce="sum"), reference)


def scatter_max(subject: str) -> Row:
    """Largest values of groups: a kernel of the extension's own."""
    scatter = importlib.import_module("torch_scatter").scatter
    values, index, size = _groups()
    reference = torch.stack([values[index == group].max(dim=0).values for group in range(size)])
    return compared(subject, scatter(values.cuda(), index.cuda(), dim=0, dim_size=size, reduce="max"), reference, 0.0)


def segment_sum(subject: str) -> Row:
    """Sums of neighbouring rows: a kernel of the extension's own, and its gradient."""
    segment_csr = importlib.import_module("torch_scatter").segment_csr
    values, borders = _random(5000, 16), torch.arange(0, 5001, 50)
    on_card = values.cuda().requires_grad_()
    summed = segment_csr(on_card, borders.cuda(), reduce="sum")
    (summed * summed).sum().backward()
    reference = values.double().reshape(100, 50, 16).sum(dim=1)
    gradient = (2 * reference).repeat_interleave(50, dim=0)
    both = [summed.detach().cpu().flatten(), on_card.grad.cpu().flatten()]
    return compared(subject, torch.cat(both), torch.cat([reference.flatten(), gradient.flatten()]))


def spline_basis(subject: str) -> Row:
    """Linear B-splines on a grid of knots, against their formula."""
    basis_of = importlib.import_module("torch_spline_conv").spline_basis
    places = torch.rand(2000, 2, generator=torch.Generator().manual_seed(SEED))
    sizes = torch.tensor([5, 5])
    found, knots = basis_of(places.cuda(), sizes.cuda(), torch.ones(2, dtype=torch.uint8).cuda(), 1)
    on_grid = torch.zeros(2000, 25).scatter_add_(1, knots.cpu(), found.cpu())
    scaled = places.double() * 4
    hats = (1 - (scaled[:, :, None] - torch.arange(5)).abs()).clamp_min(0)  # (n, axis, knot)
    reference = (hats[:, 1, :, None] * hats[:, 0, None, :]).reshape(2000, 25)  # the first axis runs fastest
    return compared(subject, on_grid, reference)


def _clouds() -> Tuple[Any, Any, int]:
    points = _random(2500, 3)
    return points[:2000], points[2000:], 5


def _nearest(points: Any, queries: Any, count: int) -> Any:
    """Squared distances to the nearest points, by brute force; (queries, count), the nearest first."""
    gaps = (queries.double()[:, None] - points.double()[None]).pow(2).sum(dim=2)
    return gaps.topk(count, dim=1, largest=False).values


def knn_cluster(subject: str) -> Row:
    """Nearest neighbours by torch-cluster; their distances are compared, so that ties don't matter."""
    knn = importlib.import_module("torch_cluster").knn
    points, queries, count = _clouds()
    query, point = knn(points.cuda(), queries.cuda(), count).cpu()
    if query.tolist() != [number for number in range(len(queries)) for _ in range(count)]:
        return judged(CHECK, subject, f"{count} neighbours of each point", "other numbers of neighbours", False)
    gaps = (queries.double()[query] - points.double()[point]).pow(2).sum(dim=1).reshape(-1, count)
    return compared(subject, gaps.sort(dim=1).values, _nearest(points, queries, count))


def knn_pytorch3d(subject: str) -> Row:
    """Nearest neighbours by pytorch3d."""
    knn_points = importlib.import_module("pytorch3d.ops").knn_points
    points, queries, count = _clouds()
    found = knn_points(queries[None].cuda(), points[None].cuda(), K=count)
    return compared(subject, found.dists[0], _nearest(points, queries, count))


Operations = List[Tuple[str, Callable[[str], Row]]]
_PARTS: Dict[str, Tuple[str, Operations]] = {
    "torch": ("torch", [("matmul", matmul), ("conv3d", convolution)]),
    "torch-scatter": (
        "torch_scatter",
        [("scatter sum", scatter_sum), ("scatter max", scatter_max), ("segment_csr and its gradient", segment_sum)],
    ),
    "torch-spline-conv": ("torch_spline_conv", [("spline_basis", spline_basis)]),
    "torch-cluster": ("torch_cluster", [("knn", knn_cluster)]),
    "pytorch3d": ("pytorch3d", [("knn_points", knn_pytorch3d)]),
}
