"""One training step of BLIP-2's second stage in plain PyTorch: queries prompt a frozen language model, whose loss trains them.

Language models are written out with PyTorch's fused attention, and compute logits only where something is predicted. Frozen
weights ask for no gradients.

Sources: LAVIS `blip2_opt.py` and `blip2_t5.py`; transformers `modeling_opt.py` and `modeling_t5.py`; BLIP-2 (arXiv 2301.12597),
section 3.3.
"""

import torch
import torch.nn.functional as F
from transformers.models.t5.modeling_t5 import T5Attention

from torch_qformer import FROZEN, QFormerStep

IGNORED = -100
POSITION_OFFSET = 2  # the first two rows of OPT's table of positions are nobody's
OPT_EPSILON = 1e-5


class StageTwoStep(QFormerStep):
    """The second stage on a batch."""

    def __init__(self, weights, config, batch):
        super().__init__(weights, config)
        self.features = batch["features"].float()  # [batch, image tokens, image width]
        language = {name[len(FROZEN) :]: tensor for name, tensor in self.weights.items() if name.startswith(FROZEN)}
        kind = {"opt": Opt, "t5": T5}[config.text_config.model_type]
        self.language_model = kind(language, config.text_config, batch)

    def losses(self):
        image = self.image(self.features)
        queries, _ = self.run(self.queries(len(image)), image=image)  # [batch, queries, width]
        return {"loss": self.language_model.loss(self.linear("language_projection", queries))}


def split(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # [batch, heads, rows, head width]


def merge(x):
    return x.transpose(1, 2).flatten(2)  # [batch, rows, width]


def token_loss(logits, labels):
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


class Opt:
    """OPT with norms before its layers, on texts padded on the right."""

    def __init__(self, weights, config, batch):
        if not config.do_layer_norm_before or config.activation_function != "relu":
            raise ValueError("OPT: this step has norms before the layers, and relu")
        self.weights = weights
        self.config = config
        self.ids = batch["text_ids"].long()  # [batch, tokens]
        self.labels = batch["labels"].long()  # [batch, tokens]

    def loss(self, prompt):
        """`prompt`: [batch, queries, width]."""
        table = self.weights["model.decoder.embed_tokens.weight"]
        hidden = torch.cat([prompt, F.embedding(self.ids, table)], 1)  # [batch, positions, width]
        positions = self.weights["model.decoder.embed_positions.weight"][POSITION_OFFSET:]
        hidden = hidden + positions[: hidden.shape[1]]
        for index in range(self.config.num_hidden_layers):
            hidden = self.layer(f"model.decoder.layers.{index}", hidden)
        first = prompt.shape[1] - 1  # the last query predicts the first token
        read = self.norm("model.decoder.final_layer_norm", hidden[:, first:-1])  # [batch, tokens, width]
        return token_loss(F.linear(read, self.weights.get("lm_head.weight", table)), self.labels)

    def layer(self, name, hidden):
        normed = self.norm(f"{name}.self_attn_layer_norm", hidden)
        query, key, value = (split(self.linear(f"{name}.self_attn.{part}_proj", normed), self.heads) for part in "qkv")
        # Padding stands on the right: nobody who counts looks there.
        read = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.linear(f"{name}.self_attn.out_proj", merge(read))
        inner = F.relu(self.linear(f"{name}.fc1", self.norm(f"{name}.final_layer_norm", hidden)))
        return hidden + self.linear(f"{name}.fc2", inner)

    @property
    def heads(self):
        return self.config.num_attention_heads

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name, x):
        weight = self.weights[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self.weights[f"{name}.bias"], OPT_EPSILON)


class T5:
    """T5 with gated feed-forward layers and an untied head, as Flan-T5 inside BLIP-2: the exact GELU."""

    def __init__(self, weights, config, batch):
        if "lm_head.weight" not in weights:
            raise ValueError("T5: this step has an untied head")
        self.weights = weights
        self.config = config
        self.prompt_ids = batch["prompt_ids"].long()  # [batch, prompt tokens]
        self.prompt_mask = batch["prompt_mask"].bool()  # [batch, prompt tokens]
        self.decoder_ids = batch["decoder_ids"].long()  # [batch, tokens]
        self.labels = batch["labels"].long()  # [batch, tokens]

    def loss(self, prompt):
        """`prompt`: [batch, queries, width]."""
        table = self.weights["shared.weight"]
        hidden = torch.cat([prompt, F.embedding(self.prompt_ids, table)], 1)  # [batch, positions, width]
        seen = F.pad(self.prompt_mask, (prompt.shape[1], 0), value=True)[:, None, None, :]  # [batch, 1, 1, positions]
        padding = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))
        bias = self.positions("encoder", hidden.shape[1]) + padding  # [batch, heads, positions, positions]
        for index in range(self.config.num_layers):
            name = f"encoder.block.{index}.layer"
            hidden = self.attend(f"{name}.0", "SelfAttention", hidden, bias)
            hidden = self.feed_forward(f"{name}.1", hidden)
        encoded = self.norm("encoder.final_layer_norm", hidden)

        hidden = F.embedding(self.decoder_ids, table)  # [batch, tokens, width]
        tokens = hidden.shape[1]
        causal = torch.full((tokens, tokens), float("-inf")).triu(1)
        bias = self.positions("decoder", tokens) + causal  # [1, heads, tokens, tokens]
        for index in range(self.config.num_decoder_layers):
            name = f"decoder.block.{index}.layer"
            hidden = self.attend(f"{name}.0", "SelfAttention", hidden, bias)
            hidden = self.attend(f"{name}.1", "EncDecAttention", hidden, seen, encoded)
            hidden = self.feed_forward(f"{name}.2", hidden)
        decoded = self.norm("decoder.final_layer_norm", hidden)
        return token_loss(F.linear(decoded, self.weights["lm_head.weight"]), self.labels)

    def positions(self, stack, tokens):
        places = torch.arange(tokens)
        buckets = T5Attention._relative_position_bucket(
            places[None, :] - places[:, None],
            bidirectional=stack == "encoder",
            num_buckets=self.config.relative_attention_num_buckets,
            max_distance=self.config.relative_attention_max_distance,
        )
        table = self.weights[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        return F.embedding(buckets, table).permute(2, 0, 1)[None]  # [1, heads, tokens, tokens]

    def attend(self, name, kind, hidden, bias, source=None):
        normed = self.norm(f"{name}.layer_norm", hidden)
        source = normed if source is None else source
        query = self.heads(f"{name}.{kind}.q", normed)
        key, value = self.heads(f"{name}.{kind}.k", source), self.heads(f"{name}.{kind}.v", source)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
        return hidden + self.linear(f"{name}.{kind}.o", merge(read))

    def feed_forward(self, name, hidden):
        normed = self.norm(f"{name}.layer_norm", hidden)
        gate = F.gelu(self.linear(f"{name}.DenseReluDense.wi_0", normed))
        return hidden + self.linear(f"{name}.DenseReluDense.wo", gate * self.linear(f"{name}.DenseReluDense.wi_1", normed))

    def heads(self, name, x):
        return split(self.linear(name, x), self.config.num_heads)

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"])

    def norm(self, name, x):
        weight = self.weights[f"{name}.weight"]
        return F.rms_norm(x, weight.shape, weight, self.config.layer_norm_epsilon)
