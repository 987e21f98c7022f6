"""The peer: Hugging Face transformers on PyTorch, CPU.

A long-lived process. Each line of standard input is a request, each line of standard output its answer, both JSON
objects; `protocol.ts` has their types. What libraries print goes to standard error.
"""

import json
import os
import platform
import sys
import time

PROTOCOL = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import numpy
import safetensors
import torch
import transformers
from safetensors import safe_open

from torch_stage_one import StageOneStep
from torch_stage_two import StageTwoStep

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def read_tensors(folder, keep=lambda name: True):
    """The tensors of a model folder whose names are wanted, in whatever files they are."""
    tensors = {}
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".safetensors"):
            continue
        with safe_open(os.path.join(folder, file), "pt") as opened:
            for name in opened.keys():
                if keep(name):
                    tensors[name] = opened.get_tensor(name)
    return tensors


def read_input(task, name):
    with safe_open(task["inputs"], "pt") as opened:
        return opened.get_tensor(name)


def load_part(model_class, config, folder, prefix, dtype):
    """A part of a checkpoint as a model of its own; every weight of the part must be there."""
    with torch.device("meta"):
        model = model_class(config)
    tensors = read_tensors(folder, lambda name: name.startswith(prefix))
    state = {name[len(prefix) :]: tensor.to(dtype) for name, tensor in tensors.items()}
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if missing or unexpected:
        raise ValueError(f"{prefix}: missing {missing[:5]}, unexpected {unexpected[:5]}")
    for name, buffer in list(model.named_buffers()):
        if buffer.is_meta:
            raise ValueError(f"{prefix}{name} is a buffer without values")
    return model.eval()


def load_whole(model_class, task):
    """As the documentation of transformers says; every weight must be there."""
    model, report = model_class.from_pretrained(task["checkpoint"], dtype=DTYPES[task["dtype"]], output_loading_info=True)
    wrong = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if wrong:
        raise ValueError(f"{task['checkpoint']}: {len(wrong)} weights do not fit: {wrong[:5]}")
    return model.eval()


def channels_first(images, dtype):
    return images.permute(0, 3, 1, 2).contiguous().to(dtype)  # [batch, 3, side, side]


class EncodeImage:
    """Blip2VisionModel without `post_layernorm`, which belongs to the Q-Former here."""

    def __init__(self, task):
        config = transformers.Blip2Config.from_pretrained(task["checkpoint"]).vision_config
        dtype = DTYPES[task["dtype"]]
        self.model = load_part(transformers.Blip2VisionModel, config, task["checkpoint"], "vision_model.", dtype)
        self.model.post_layernorm = torch.nn.Identity()
        self.images = channels_first(read_input(task, "images")[: task["batch"]], dtype)

    def run(self):
        self.result = self.model(self.images).last_hidden_state
        return {}

    def output(self):
        return self.result


class EncodeQueries:
    """`ln_vision` and Blip2QFormerModel."""

    def __init__(self, task):
        config = transformers.Blip2Config.from_pretrained(task["checkpoint"])
        dtype = DTYPES[task["dtype"]]
        qformer_config = config.qformer_config
        qformer_config.use_qformer_text_input = True
        self.model = load_part(transformers.Blip2QFormerModel, qformer_config, task["checkpoint"], "qformer.", dtype)
        self.norm = read_tensors(task["checkpoint"], lambda name: name.startswith("vision_model.post_layernorm."))
        self.norm = {name.split(".")[-1]: tensor.to(dtype) for name, tensor in self.norm.items()}
        self.epsilon = config.vision_config.layer_norm_eps
        self.queries = read_tensors(task["checkpoint"], lambda name: name == "query_tokens")["query_tokens"].to(dtype)
        self.features = read_input(task, "features")[: task["batch"]].to(dtype)

    def run(self):
        width = self.features.shape[-1:]
        image = torch.nn.functional.layer_norm(self.features, width, self.norm["weight"], self.norm["bias"], self.epsilon)
        queries = self.queries.expand(image.shape[0], -1, -1)
        self.result = self.model(query_embeds=queries, encoder_hidden_states=image).last_hidden_state
        return {}

    def output(self):
        return self.result


class Decode:
    """`generate` of transformers with its own cache; time is that of the steps after the prompt."""

    def __init__(self, task):
        kind = json.load(open(os.path.join(task["checkpoint"], "config.json")))["model_type"]
        model_class = {"opt": transformers.OPTForCausalLM, "t5": transformers.T5ForConditionalGeneration}[kind]
        self.model = load_whole(model_class, task)
        self.model.register_forward_pre_hook(lambda *_: self.begins.append(time.perf_counter()))
        self.beams = task["beams"]
        self.tokens = task["newTokens"]
        self.prompt = read_input(task, "prompt_ids").long()

    def run(self):
        self.begins = []
        written = self.model.generate(
            input_ids=self.prompt,
            attention_mask=torch.ones_like(self.prompt),
            do_sample=False,
            num_beams=self.beams,
            min_new_tokens=self.tokens,
            max_new_tokens=self.tokens,
        )
        end = time.perf_counter()
        if len(self.begins) != self.tokens:
            raise ValueError(f"{len(self.begins)} passes for {self.tokens} tokens")
        self.result = written[:, -self.tokens :]
        return {"ms": (end - self.begins[1]) * 1000 / (self.tokens - 1)}

    def output(self):
        return self.result


class Match:
    """Image-text matching with the whole model, loaded as its documentation says."""

    def __init__(self, task):
        self.model = load_whole(transformers.Blip2ForImageTextRetrieval, task)
        self.images = channels_first(read_input(task, "images")[:1], DTYPES[task["dtype"]])
        ids = read_input(task, "matching_ids").long()
        queries = torch.full((1, self.model.config.num_query_tokens), self.model.config.image_token_index)
        self.ids = torch.cat([queries, ids], dim=1)  # as its processor makes them

    def run(self):
        mask = torch.ones_like(self.ids)
        answer = self.model(self.images, self.ids, mask, use_image_text_matching_head=True)
        self.result = answer.logits_per_image
        return {"values": {"match": self.result[0, 1].item()}}

    def output(self):
        return self.result


class Train:
    """A step of training; see torch_stage_one.py and torch_stage_two.py."""

    def __init__(self, task):
        config = transformers.Blip2Config.from_pretrained(task["checkpoint"])
        with safe_open(task["inputs"], "pt") as opened:
            batch = {name: opened.get_tensor(name)[: task["batch"]] for name in opened.keys()}
        step = {1: StageOneStep, 2: StageTwoStep}[task["stage"]]
        self.step = step(read_tensors(task["checkpoint"]), config, batch)

    def run(self):
        with torch.enable_grad():
            return {"values": self.step()}


TASKS = {
    "encode-image": EncodeImage,
    "encode-queries": EncodeQueries,
    "decode": Decode,
    "match": Match,
    "train": Train,
}


def peak_bytes():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except FileNotFoundError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Side:
    def load(self, request):
        task = request["task"]
        torch.set_num_threads(task["threads"])
        self.task = TASKS[task["kind"]](task)
        return {
            "runtime": f"Python {platform.python_version()}",
            "libraries": {
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "safetensors": safetensors.__version__,
                "numpy": numpy.__version__,
            },
            "threads": torch.get_num_threads(),
        }

    def run(self, request):
        begin = time.perf_counter()
        answer = self.task.run()
        elapsed = (time.perf_counter() - begin) * 1000
        return {"ms": elapsed, **answer}

    def output(self, request):
        result = self.task.output().float().contiguous()
        result.numpy().astype("<f4").tofile(request["path"])
        return {"shape": list(result.shape)}

    def memory(self, request):
        return {"peakBytes": peak_bytes()}


@torch.no_grad()
def main():
    side = Side()
    for line in sys.stdin:
        request = json.loads(line)
        if request["command"] == "quit":
            break
        try:
            line = json.dumps({"ok": True, **getattr(side, request["command"])(request)}, allow_nan=False)
        except Exception as problem:
            line = json.dumps({"ok": False, "error": f"{type(problem).__name__}: {problem}"})
        PROTOCOL.write(line + "\n")
        PROTOCOL.flush()


main()
