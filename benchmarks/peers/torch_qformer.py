"""A Q-Former in training, in plain PyTorch: its weights, its layers and AdamW. The stages add their losses.

Attention is PyTorch's fused one and AdamW is the fused one: what PyTorch does fastest on a CPU. No dropout, so that both sides
of the benchmark compute the same numbers.

Source: LAVIS `Qformer.py`.
"""

import torch
import torch.nn.functional as F

FROZEN = "language_model."


class QFormerStep:
    """Weights and moments; calling it is one step."""

    def __init__(self, weights, config):
        self.weights = {name: tensor.float().requires_grad_(not name.startswith(FROZEN)) for name, tensor in weights.items()}
        self.config = config.qformer_config
        self.image_epsilon = config.vision_config.layer_norm_eps
        trained = [tensor for tensor in self.weights.values() if tensor.requires_grad]
        decayed = [tensor for tensor in trained if tensor.dim() != 1]
        others = [tensor for tensor in trained if tensor.dim() == 1]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-8, fused=True)

    def __call__(self):
        self.optimiser.zero_grad(set_to_none=True)
        losses = self.losses()
        loss = sum(losses.values())
        loss.backward()
        self.optimiser.step()
        return {name: value.item() for name, value in {**losses, "loss": loss}.items()}

    def losses(self):
        """Scalars by name, whose sum is trained for."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------ layers

    def image(self, features):
        return self.norm("vision_model.post_layernorm", features, self.image_epsilon)  # [batch, image tokens, image width]

    def queries(self, batch):
        return self.norm("qformer.layernorm", self.weights["query_tokens"]).expand(batch, -1, -1)

    def words(self, ids):
        positions = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        words = F.embedding(ids, self.weights["embeddings.word_embeddings.weight"])
        return self.norm("qformer.layernorm", words + positions)

    def run(self, hidden, query_rows=None, image=None, mask=None, past=None):
        """All layers. Rows are queries when there is an image, up to `query_rows`; the others are text."""
        if query_rows is None:
            query_rows = hidden.shape[1] if image is not None else 0
        cached = []
        for index in range(self.config.num_hidden_layers):
            name = f"qformer.encoder.layer.{index}"
            attended, keys_and_values = self.attend(f"{name}.attention", hidden, hidden, mask, past and past[index])
            cached.append(keys_and_values)
            parts = []
            if query_rows > 0:
                queries = attended[:, :query_rows]
                if index % self.config.cross_attention_frequency == 0:
                    queries, _ = self.attend(f"{name}.crossattention", queries, image)
                parts.append(self.feed_forward(f"{name}.intermediate_query", f"{name}.output_query", queries))
            if query_rows < hidden.shape[1]:
                parts.append(self.feed_forward(f"{name}.intermediate", f"{name}.output", attended[:, query_rows:]))
            hidden = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        return hidden, cached

    def attend(self, name, x, source, mask=None, past=None):
        query = self.heads(f"{name}.attention.query", x)
        keys, values = self.heads(f"{name}.attention.key", source), self.heads(f"{name}.attention.value", source)
        if past is not None:
            keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
        read = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        read = read.transpose(1, 2).flatten(2)  # [batch, rows, width]
        return self.norm(f"{name}.output.LayerNorm", self.linear(f"{name}.output.dense", read) + x), (keys, values)

    def heads(self, name, x):
        heads = self.config.num_attention_heads
        return self.linear(name, x).unflatten(-1, (heads, -1)).transpose(1, 2)  # [batch, heads, rows, head width]

    def feed_forward(self, inner, outer, x):
        hidden = F.gelu(self.linear(f"{inner}.dense", x))
        return self.norm(f"{outer}.LayerNorm", self.linear(f"{outer}.dense", hidden) + x)

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name, x, epsilon=None):
        weight = self.weights[f"{name}.weight"]
        bias = self.weights[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.config.layer_norm_eps if epsilon is None else epsilon)
