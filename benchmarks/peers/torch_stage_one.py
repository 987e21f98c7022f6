"""One training step of BLIP-2's first stage in plain PyTorch: contrast, matching, captioning, AdamW.

The captioning pass continues the keys and values of the query pass. Negatives are fixed instead of drawn, so that both sides of
the benchmark compute the same numbers. transformers' own Blip2QFormerModel has no caption pass.

Sources: LAVIS `blip2_qformer.py`; BLIP-2 (arXiv 2301.12597), section 3.2.
"""

import torch
import torch.nn.functional as F

from torch_qformer import QFormerStep

SMOOTHING = 0.1
BEGIN_CAPTION_OFFSET = 1  # [DEC] is the last word
PAD = 0


class StageOneStep(QFormerStep):
    """The first stage on a batch."""

    def __init__(self, weights, config, batch):
        super().__init__(weights, config)
        self.features = batch["features"].float()  # [batch, image tokens, image width]
        self.ids = batch["text_ids"].long()  # [batch, tokens]
        self.mask = batch["text_mask"].bool()  # [batch, tokens]

    def losses(self):
        image = self.image(self.features)
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
