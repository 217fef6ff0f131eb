"""pix2pixHD: synthesis by a conditional adversarial network (Wang et al., 2018)."""

from baselines.parts.gan_settings import LayoutToPictureSettings
from semflow.method.contract import Card
from semflow.section import Positive


class Pix2PixHDSettings(LayoutToPictureSettings):
    """width, downs, residuals: of the generator: channels at full size, halvings, and residual blocks at the smallest size."""

    width: Positive
    downs: Positive
    residuals: Positive


CARD = Card(
    title="pix2pixHD",
    colour="tab:brown",
    model="baselines.pix2pixhd.model:Pix2PixHD",
    tasks={"synthesis": {"direct": 1}},
    default={"synthesis": "direct"},
    Settings=Pix2PixHDSettings,
    reads=("data",),
)
