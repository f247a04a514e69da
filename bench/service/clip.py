"""CLIP in PyTorch, with the weights of an ONNX model folder of this repository."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHTS = "weights.pt"
HEAD_WIDTH = 64  # of every CLIP
LAYER_NORM_EPSILON = 1e-5
QUICK_GELU = 1.702


@dataclass(frozen=True)
class Shape:
    """What the weights do not tell by themselves."""

    image_width: int
    image_layers: int
    text_width: int
    text_layers: int
    patch: int
    size: int
    dimension: int
    context: int
    vocabulary: int
    quick_gelu: bool


class Attention(nn.Module):
    """Self-attention by the fused kernel."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.causal = causal
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        split = self.in_proj(x).view(batch, length, 3, self.heads, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(split[0], split[1], split[2], is_causal=self.causal)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """One layer: attention, then the feed-forward part, each on what came before it."""

    def __init__(self, width: int, causal: bool, quick_gelu: bool) -> None:
        super().__init__()
        self.quick_gelu = quick_gelu
        self.ln_1 = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.attn = Attention(width, causal)
        self.ln_2 = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        hidden = self.c_fc(self.ln_2(x))
        hidden = hidden * torch.sigmoid(QUICK_GELU * hidden) if self.quick_gelu else F.gelu(hidden)
        return x + self.c_proj(hidden)


class ImageTower(nn.Module):
    """Pixels [batch, 3, size, size] to vectors that are not normalised."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.image_width
        self.conv1 = nn.Conv2d(3, width, shape.patch, stride=shape.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty((shape.size // shape.patch) ** 2 + 1, width))
        self.ln_pre = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.blocks = nn.ModuleList(Block(width, False, shape.quick_gelu) for _ in range(shape.image_layers))
        self.ln_post = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.proj = nn.Parameter(torch.empty(width, shape.dimension))

    def forward(self, pixels: Tensor) -> Tensor:
        rows = self.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(rows.shape[0], 1, -1)
        x = self.ln_pre(torch.cat([first, rows], dim=1) + self.positional_embedding)
        for block in self.blocks:
            x = block(x)
        return self.ln_post(x[:, 0]) @ self.proj


class TextTower(nn.Module):
    """Tokens [batch, length] to vectors that are not normalised; each is read at its end token."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.text_width)
        self.positional_embedding = nn.Parameter(torch.empty(shape.context, shape.text_width))
        self.blocks = nn.ModuleList(Block(shape.text_width, True, shape.quick_gelu) for _ in range(shape.text_layers))
        self.ln_final = nn.LayerNorm(shape.text_width, eps=LAYER_NORM_EPSILON)
        self.text_projection = nn.Parameter(torch.empty(shape.text_width, shape.dimension))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        ends = x[torch.arange(x.shape[0]), tokens.argmax(dim=1)]
        return self.ln_final(ends) @ self.text_projection


class Clip(nn.Module):
    """Both towers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.image = ImageTower(shape)
        self.text = TextTower(shape)

    @torch.inference_mode()
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Unit vectors of pictures."""
        return F.normalize(self.image(pixels), dim=-1)

    @torch.inference_mode()
    def encode_text(self, tokens: Tensor) -> Tensor:
        """Unit vectors of texts."""
        return F.normalize(self.text(tokens), dim=-1)


def save(clip: Clip, folder: Path) -> None:
    """Writes the weights the way PyTorch maps into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"shape": asdict(clip.shape), "weights": clip.state_dict()}, folder / WEIGHTS)


def load(folder: Path) -> Clip:
    """Maps the weights into memory."""
    stored = torch.load(folder / WEIGHTS, mmap=True, weights_only=True)
    with torch.device("meta"):
        clip = Clip(Shape(**stored["shape"]))
    clip.load_state_dict(stored["weights"], assign=True)
    return clip.eval()
