"""What was learned of a function by moving: Anderson acceleration (Anderson, Journal of the ACM 1965).

In the form of Fang and Saad (Two classes of multisecant methods for nonlinear acceleration, Numerical Linear Algebra with
Applications 2009): what the moves so far changed is combined by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FINEST = 1e-8                                           # moves that change the same are told apart no further


def undoing(off: Tensor, changes: Sequence[Tensor]) -> list[float]:
    """The factors on these changes whose sum comes nearest to taking `off` away."""
    if not changes:
        return []
    many = torch.stack([change.flatten() for change in changes]).double()
    alike = torch.linalg.pinv(many @ many.mT, rtol=FINEST, hermitian=True)
    return (-alike @ (many @ off.flatten().double())).tolist()


def combined(factors: Sequence[float], these: Sequence[Tensor], onto: Tensor) -> Tensor:
    """onto + the sum of these, each with its factor."""
    return sum((factor * this for factor, this in zip(factors, these, strict=True)), onto)
