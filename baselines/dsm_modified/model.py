"""DSM with scaled masks and a preconditioned network, for networks that were not pretrained."""

from torch import Tensor

from baselines.dsm.model import DSM
from semflow.method.autoencoder import Autoencoder
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.unet import UNet
from semflow.seeds import Source


class ModifiedDSM(DSM):
    """Noise prediction as in Eq. 2 with masks scaled down, so that the noise hides them sooner.

    mask_scale: what mask latents are multiplied by before Eq. 1. Below 1 the noise hides them sooner, so that at more
    timesteps they must be read off the image (Chen et al., 2023, scale masks by 0.1).

    The network sees x_t at unit variance and predicts the residual of the best linear estimate of the noise (both as if latents
    were standard normal before scaling), and Eq. 2's error is weighed so that this output counts alike at every timestep (Karras
    et al., 2022, section 5, written for Eq. 1).
    """

    def __init__(
        self, network: UNet, pseudo_mask: PseudoMask, autoencoder: Autoencoder, timestep_spacing: str, mask_scale: float
    ) -> None:
        super().__init__(network, pseudo_mask, autoencoder, timestep_spacing)
        self.mask_scale = mask_scale
        self.alphas = self.forward_process.alphas_cumprod  # a_t of Eq. 1, (1000,)

    def encode_labels(self, labels: Tensor, source: Source) -> Tensor:
        return self.mask_scale * super().encode_labels(labels, source)

    def decode_labels(self, x0: Tensor) -> Tensor:
        return super().decode_labels(x0 / self.mask_scale)

    def predict_noise(self, x: Tensor, image: Tensor, t: Tensor) -> Tensor:
        unit, guess, output = self._scales(t, x)
        return guess * x + output * super().predict_noise(unit * x, image, t)

    def weight(self, t: Tensor, like: Tensor) -> Tensor:
        return 1 / self._scales(t, like)[2]

    def _scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What to multiply x_t by for the network and for the guess, and the network's output; each (B or 1, 1, 1, 1)."""
        self.alphas = self.alphas.to(like.device)  # moves once; looking it up on the CPU would stall an accelerator
        a = self.alphas[t.to(like.device).view(-1)].view(-1, 1, 1, 1)
        variance = a * self.mask_scale**2 + 1 - a  # of x_t, were the latents standard normal before scaling
        return variance.rsqrt(), (1 - a).sqrt() / variance, self.mask_scale * (a / variance).sqrt()
