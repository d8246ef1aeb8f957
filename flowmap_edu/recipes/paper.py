"""The paper's figures, which stand beside ours. None of its runs on images was run by us."""

from collections.abc import Iterable, Sequence
from typing import Any

from flowmap_edu import _checks as checks
from flowmap_edu.problems.problem import STEPS

TITLES = {"cifar10": "CIFAR-10", "celeba64": "CelebA-64", "afhq64": "AFHQ-64"}

# KL divergence on the checkerboard, as printed on the paper's project page. The paper's estimator is
# not published there, so these stand beside KL64 as context and are not comparable to the last digit.
PAPER_KL = {
    "lsd": (0.0864, 0.0765, 0.0708, 0.0699, 0.0710),
    "esd": (0.0983, 0.0921, 0.0834, 0.0816, 0.0751),
    "psd-m": (0.1456, 0.0891, 0.0812, 0.0717, 0.0689),
    "psd-u": (0.1113, 0.1067, 0.0747, 0.0727, 0.0679),
}

# FID on the paper's three sets of images, as printed there. The page does not say how many images it took.
PAPER_FID = {
    "cifar10": {
        "lsd": (8.10, 4.37, 3.34, 3.33, 3.57),
        "psd-m": (12.81, 8.43, 5.96, 5.07, 4.64),
        "psd-u": (13.61, 7.95, 6.03, 5.32, 5.16),
    },
    "celeba64": {
        "lsd": (12.22, 5.74, 3.18, 2.18, 1.96),
        "psd-m": (19.64, 11.75, 7.89, 6.06, 5.09),
        "psd-u": (18.81, 11.02, 7.47, 6.00, 5.63),
    },
    "afhq64": {
        "lsd": (11.19, 7.78, 7.00, 5.89, 5.61),
        "psd-m": (18.86, 14.75, 14.40, 13.26, 11.07),
        "psd-u": (14.50, 10.73, 10.99, 12.02, 11.47),
    },
}


def fid_table(
    problem: str, method: str, rows: Sequence[dict[str, Any]], steps: Sequence[int] = STEPS, name: str = "FID"
) -> str:
    """Our rows (`ImageProblem.evaluate`) of one method, beside all that the paper has for that data set, as text.

    Each line says whose it is. Where we have no row, the line that is ours says "not run by us". For a data set that
    the paper does not have there are our figures alone.

    Args:
        rows: may be empty.
        name: what the figures are called; "FID" is for the features of the Inception network alone.

    Raises:
        ValueError: for a number of steps below 1.
    """
    for k in steps:
        checks.count("steps", k)
    paper, ours = PAPER_FID.get(problem, {}), {row["steps"]: f"{row['fid']:.2f}" for row in rows}

    def line(first: str, whose: str, cells: Iterable[str]) -> str:
        return f"{first:<15} {whose:<6}" + "".join(f"{cell:>15}" for cell in cells)

    title = TITLES.get(problem, problem)
    lines = [f"{name} on {title}", line("method", "whose", [f"{k} step{'s' * (k > 1)}" for k in steps])]
    for key in dict.fromkeys([*paper, method]):
        lines.append(
            line(key, "ours", [ours.get(k, "not run by us") if key == method else "not run by us" for k in steps])
        )
        if key in paper:
            printed: dict[int, str] = {k: f"{fid:.2f}" for k, fid in zip(STEPS, paper[key], strict=True)}
            lines.append(line(key, "paper", [printed.get(k, "not printed") for k in steps]))
    if rows:
        floor = "none" if rows[0]["floor"] is None else f"{rows[0]['floor']:.2f}"
        lines.append(f"ours: {rows[0]['n']:,} images to the reference; floor, of real held-out images: {floor}")
    if paper:
        lines.append("paper: as printed on its project page (arXiv 2505.18825), which does not say how many images")
    else:
        lines.append(f"The paper has no figures on {title}.")
    return "\n".join(lines)


def paper_table() -> str:
    """All nine rows of FID that the paper's project page prints, as text; none of them was run by us."""
    return "\n\n".join(fid_table(problem, next(iter(paper)), []) for problem, paper in PAPER_FID.items())
