"""Packages that newtake does without until something needs them."""

from __future__ import annotations

from typing import Any

from .errors import BadInput


def opencv(what: str) -> Any:
    """The package cv2.  `what` is done with it: "motion is measured".  Raises BadInput where it is not installed."""
    try:
        import cv2
    except ImportError:
        raise BadInput(f'{what} with OpenCV; pip install "newtake[metrics]"') from None
    return cv2


def ray(what: str) -> Any:
    """The package ray.  `what` is done with it: "many jobs are spread".  Raises BadInput where it is not installed."""
    try:
        import ray
    except ImportError:
        raise BadInput(f'{what} with Ray; pip install "newtake[cluster]"') from None
    return ray
