"""Named shapes of the tensors that go round.  They are checked in the tests only; elsewhere they are words.

r rows (0 the source, then a row a target), f frames, c channels, h w height and width, n query tokens, m key tokens,
d head width, p pixels.  Sites of temporal attention are (r p heads f d): there p stands where f does, and f where n and
m do.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Latents = Float[Tensor, "r f c h w"]
OneLatent = Float[Tensor, "1 f c h w"]
Queries = Float[Tensor, "r f heads n d"]
Keys = Float[Tensor, "r f heads m d"]
Tokens = Float[Tensor, "r f n c"]
Maps = Float[Tensor, "r f heads n m"]
RowMap = Float[Tensor, "f heads n m"]                   # of one row
WordMaps = Float[Tensor, "f m h w"]                     # a picture for each token of a prompt
Numbers = Int[Tensor, " f"]
Region = Bool[Tensor, "f high wide"]                   # of a size of its own
Regions = Bool[Tensor, "r f h w"]
Mask = Bool[Tensor, "f H W"]                            # of the user's, one for all rows
