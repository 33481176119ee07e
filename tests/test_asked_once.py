"""No evaluation is done twice: what methods and inversions ask, by all that goes into the network."""

from collections import Counter

import networks
import pytest
import torch
from networks import drawn
from test_laws import asked, edited

from newtake.inversion import INVERSIONS
from newtake.methods import METHODS, configured
from newtake.models.counted import Counted
from newtake.models.unet import UNet

STEPS = 3
PAIRS = [*((name, "ddim") for name in METHODS), *(("fatezero", name) for name in INVERSIONS if name != "ddim")]
AGAIN = {                                               # passes of a whole edit that are asked again, and why
    "edit_friendly": 1,                                 # the empty prompt of the first step, of inversion and edit
    "null_text": 2,                                     # that too; and the source's prompt as the empty one, with a gradient
}


class Asked(Counted):
    """Notes what goes in: latents, level, and the prompts of the rows."""

    def __init__(self, inner):
        super().__init__(inner)
        self.passes, self.of_rows = Counter(), Counter()

    def predict(self, z, at, text, prompted=True, frames=None):
        tokens = text.tokens.detach().expand(len(z), *text.tokens.shape[1:])
        rows = [(at.t, row.detach().numpy().tobytes(), said.numpy().tobytes()) for row, said in zip(z, tokens, strict=True)]
        self.passes[tuple(rows)] += 1
        self.of_rows.update(rows)
        return super().predict(z, at, text, prompted, frames)


@pytest.mark.parametrize("name, inversion", PAIRS, ids=map(" ".join, PAIRS))
def test_no_pass_is_asked_twice(name, inversion):
    model = Asked(UNet(networks.unet(torch.float32), networks.SCHEDULER))
    method = configured(name, steps=STEPS, inversion=inversion, mask=0.5)
    edited(model, method, asked("sd1"), drawn(1, 2, 4, 4, 4).float())
    assert sum(model.passes.values()) - len(model.passes) == AGAIN.get(inversion, 0)
    if name == "fatezero" and inversion == "ddim":      # the source beside the targets: its maps are made again, not stored
        assert sum(model.of_rows.values()) - len(model.of_rows) == int(0.8 * STEPS)
