"""The processes among which one clip is shared out."""

from .group import Ranks, among, opened, ranks

__all__ = ["Ranks", "among", "opened", "ranks"]
