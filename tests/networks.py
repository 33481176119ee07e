"""Small networks with random weights, and something to ask of them."""

import torch
from diffusers import UNet2DConditionModel, WanTransformer3DModel
from torch import Tensor, nn

from newtake.attention.maps import refine, replace, reweight
from newtake.methods.change import Change
from newtake.methods.request import Request
from newtake.models.model import Text
from newtake.models.unet import UNet

SCHEDULER = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, set_alpha_to_one=False,
    steps_offset=1, prediction_type="epsilon",
)
TOKENS, CHANNELS = 12, 16                               # of a prompt


def unet(dtype: torch.dtype = torch.float64, seed: int = 0, **config) -> UNet2DConditionModel:
    """Two resolutions with self- and cross-attention in both, as Stable Diffusion 1."""
    torch.manual_seed(seed)
    given = dict(
        sample_size=16, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=CHANNELS,
    )
    return nn.Module.to(UNet2DConditionModel(**{**given, **config}), dtype).eval().requires_grad_(False)


def sdxl() -> UNet2DConditionModel:
    """Several transformer blocks a layer, and a pooled vector and sizes beside the prompt, as SDXL."""
    return unet(
        torch.float32, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), transformer_layers_per_block=(1, 2),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(2, 4), use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 10,
    )


def wan() -> WanTransformer3DModel:
    """A video transformer: all frames are one row of tokens."""
    torch.manual_seed(0)
    net = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=CHANNELS,
        freq_dim=16, ffn_dim=32, num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    )
    return nn.Module.to(net, torch.float64).eval().requires_grad_(False)


def model(dtype: torch.dtype = torch.float64, norms: str = "frame", **config) -> UNet:
    return UNet(unet(dtype, **config), SCHEDULER, norms)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clip(f: int = 3, h: int = 8, w: int = 12) -> Tensor:
    """Latents (1 f c h w)."""
    return drawn(1, f, 4, h, w)


def asked() -> Request:
    """Two targets: words added and one of them reweighted; words swapped."""
    added = refine(torch.tensor([0, 1, 2, 0, 4, 3, *range(6, TOKENS)]), (torch.arange(TOKENS) % 4 != 3).double())
    weighted = reweight(1 + 2.0 * (torch.arange(TOKENS) == 4), added)
    swapped = replace(drawn(TOKENS, TOKENS, seed=5).softmax(0))
    text = lambda rows, seed: Text(drawn(rows, TOKENS, CHANNELS, seed=seed))
    changes = Change(weighted, (2, 3), (4,)), Change(swapped, (2, 3), (4,))
    return Request(text(1, 2), text(2, 3), text(1, 4), changes)


def relative(a: Tensor, b: Tensor) -> float:
    """The greatest difference, as a share of the greatest of what is expected."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return float((a - b).abs().max() / b.abs().max())
