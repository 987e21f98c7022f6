"""One training step of BLIP-2's first stage in plain PyTorch: contrast, matching, captioning, AdamW.

Attention is PyTorch's fused one, the captioning pass continues the keys and values of the query pass, and AdamW is the
fused one: what PyTorch does fastest on a CPU. No dropout, and fixed negatives instead of drawn ones, so that both sides of
the benchmark compute the same numbers. transformers' own Blip2QFormerModel has no caption pass.

Sources: LAVIS `blip2_qformer.py` and `Qformer.py`; BLIP-2 (arXiv 2301.12597), section 3.2.
"""

import torch
import torch.nn.functional as F

SMOOTHING = 0.1
BEGIN_CAPTION_OFFSET = 1  # [DEC] is the last word
PAD = 0


class StageOneStep:
    """Weights, moments and a batch; calling it is one step."""

    def __init__(self, weights, config, batch):
        self.weights = {name: tensor.float().requires_grad_() for name, tensor in weights.items()}
        self.config = config.qformer_config
        self.image_epsilon = config.vision_config.layer_norm_eps
        self.features = batch["features"].float()  # [batch, image tokens, image width]
        self.ids = batch["training_ids"].long()  # [batch, tokens]
        self.mask = batch["training_mask"].bool()  # [batch, tokens]
        decayed = [tensor for tensor in self.weights.values() if tensor.dim() != 1]
        others = [tensor for tensor in self.weights.values() if tensor.dim() == 1]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-8, fused=True)

    def __call__(self):
        self.optimiser.zero_grad(set_to_none=True)
        losses = self.losses()
        sum(losses.values()).backward()
        self.optimiser.step()
        return {name: loss.item() for name, loss in losses.items()}

    # ------------------------------------------------------------------------------------------ losses

    def losses(self):
        image = self.norm("vision_model.post_layernorm", self.features, self.image_epsilon)
        queries, cached = self.run(self.queries(len(image)), image=image)  # [batch, queries, width]
        return {
            "contrast": self.contrast(queries),
            "matching": self.matching(image),
            "captioning": self.captioning(cached),
        }

    def contrast(self, queries):
        words, _ = self.run(self.words(self.ids), mask=self.mask[:, None, None, :])  # [batch, tokens, width]
        vision = F.normalize(self.linear("vision_projection", queries), dim=-1)  # [batch, queries, 256]
        text = F.normalize(self.linear("text_projection", words[:, 0]), dim=-1)  # [batch, 256]
        similarity = torch.einsum("iqd,td->itq", vision, text).amax(-1) / self.weights["temp"]  # [images, texts]
        target = torch.arange(len(text))
        loss = F.cross_entropy(similarity, target, label_smoothing=SMOOTHING)
        return (loss + F.cross_entropy(similarity.T, target, label_smoothing=SMOOTHING)) / 2

    def matching(self, image):
        batch = len(image)
        negative = (torch.arange(batch) + 1) % batch
        images = torch.cat([image, image[negative], image])  # [3·batch, image tokens, image width]
        ids = torch.cat([self.ids, self.ids, self.ids[negative]])  # [3·batch, tokens]
        mask = torch.cat([self.mask, self.mask, self.mask[negative]])  # [3·batch, tokens]
        queries = self.queries(len(ids))
        count = queries.shape[1]
        seen = F.pad(mask, (count, 0), value=True)[:, None, None, :]  # [3·batch, 1, 1, queries + tokens]
        hidden, _ = self.run(torch.cat([queries, self.words(ids)], 1), count, image=images, mask=seen)
        logits = self.linear("itm_head", hidden[:, :count]).mean(1)  # [3·batch, 2]
        target = torch.cat([torch.ones(batch), torch.zeros(2 * batch)]).long()
        return F.cross_entropy(logits, target)

    def captioning(self, cached):
        ids = self.ids.clone()
        ids[:, 0] = self.config.vocab_size - BEGIN_CAPTION_OFFSET
        batch, tokens = ids.shape
        queries = cached[0][0].shape[2]
        causal = torch.ones(tokens, tokens, dtype=torch.bool).tril() & self.mask[:, None, :]  # [batch, tokens, tokens]
        seen = F.pad(causal, (queries, 0), value=True)[:, None]  # [batch, 1, tokens, queries + tokens]
        hidden, _ = self.run(self.words(ids), mask=seen, past=cached)  # [batch, tokens, width]
        inner = F.gelu(self.linear("cls.predictions.transform.dense", hidden))
        inner = self.norm("cls.predictions.transform.LayerNorm", inner)
        table = self.weights["embeddings.word_embeddings.weight"]
        logits = F.linear(inner, table, self.weights["cls.predictions.bias"])  # [batch, tokens, words]
        target = ids[:, 1:].reshape(-1)
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), target, ignore_index=PAD, label_smoothing=SMOOTHING)

    # ------------------------------------------------------------------------------------------ layers

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
