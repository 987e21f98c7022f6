"""Makes search-cases.json: texts that Hugging Face transformers generates from small table models.

    pip install torch transformers
    python make_search_cases.py

A table model's logits are the sum of a row for the last token and a row for the token before it (token 0 where there is
none). Every case is run four times more with logits moved by up to 1e-4 and dropped when a token changes, so that no case
hangs on rounding.
"""

import json
import pathlib
import platform

import torch
import transformers
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

SEED = 20240611
CASES = 600
NEVER_CASES = 100
HERE = pathlib.Path(__file__).parent
PAD = 1


class TableConfig(PretrainedConfig):
    model_type = "table"

    def __init__(self, vocab_size=16, **kwargs):
        self.vocab_size = vocab_size
        super().__init__(**kwargs)


class TableModel(PreTrainedModel, GenerationMixin):
    config_class = TableConfig
    _supports_cache_class = False

    def __init__(self, config, last, before_last):
        super().__init__(config)
        self.last = torch.nn.Parameter(last, requires_grad=False)
        self.before_last = torch.nn.Parameter(before_last, requires_grad=False)
        self.noise = 0.0

    def forward(self, input_ids, attention_mask=None, **_):
        before = torch.zeros_like(input_ids)
        before[:, 1:] = input_ids[:, :-1]
        logits = self.last[input_ids] + self.before_last[before]
        if self.noise:
            logits = logits + (torch.rand_like(logits) * 2 - 1) * self.noise
        return CausalLMOutput(logits=logits)

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **_):
        return {"input_ids": input_ids}


def make_model(vocab, spread, end_bias, generator):
    tables = [torch.round((torch.rand(vocab, vocab, generator=generator) * 2 - 1) * spread, decimals=3) for _ in range(2)]
    tables[0][:, 2] += end_bias
    tables[0] = torch.round(tables[0], decimals=3)
    return TableModel(TableConfig(vocab_size=vocab), *tables)


def run(model, prompts, settings):
    config = GenerationConfig(
        do_sample=False, use_cache=False, pad_token_id=PAD, return_dict_in_generate=True, output_scores=True, **settings
    )
    result = model.generate(torch.tensor(prompts), generation_config=config, attention_mask=torch.ones(len(prompts), len(prompts[0])))
    ends = settings["eos_token_id"] or []
    rows = []
    for row in result.sequences[:, len(prompts[0]) :].tolist():
        stop = next((index + 1 for index, token in enumerate(row) if token in ends), len(row))
        rows.append(row[:stop])
    scores = result.sequences_scores.tolist() if settings["num_beams"] > 1 else None
    return rows, scores


def draw(values, generator):
    return values[torch.randint(len(values), (1,), generator=generator).item()]


def draw_settings(generator):
    beams = draw([1, 2, 2, 3, 4, 5, 5, 6], generator)
    maximum = draw([1, 2, 4, 6, 8, 10, 12, 16], generator)
    settings = {
        "num_beams": beams,
        "max_new_tokens": maximum,
        "min_new_tokens": min(draw([None, None, 1, 2, 4, 6], generator) or 0, maximum) or None,
        "eos_token_id": draw([[2], [2], [2, 5], [2, 7, 9], None], generator),
        "repetition_penalty": draw([1.0, 1.0, 1.15, 1.5, 0.8], generator),
        "no_repeat_ngram_size": draw([0, 0, 0, 2, 3], generator),
    }
    if beams > 1:
        settings["length_penalty"] = draw([-1.0, 0.0, 0.5, 1.0, 2.0, -0.5], generator)
        settings["early_stopping"] = draw([True, False, "never"], generator)
        settings["num_return_sequences"] = draw([1, 1, 2, beams], generator)
    return settings


def draw_never_settings(generator):
    """Short texts win: early_stopping="never" must suppose the present length and not the longest. Needs models that end soon."""
    beams = 3
    return {
        "num_beams": beams,
        "max_new_tokens": 16,
        "min_new_tokens": None,
        "eos_token_id": [2],
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "length_penalty": draw([-0.1, -0.5, -1.0], generator),
        "early_stopping": "never",
        "num_return_sequences": beams,
    }


def main():
    transformers.logging.set_verbosity_error()
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    shapes = [(12, 2.0, 0.5), (16, 1.0, 0.5), (20, 0.6, 0.0), (24, 3.0, 1.0), (40, 0.5, 1.0), (12, 3.0, 3.0)]
    models = [make_model(*shape, generator) for shape in shapes]
    cases, dropped = [], 0
    while len(cases) < CASES + NEVER_CASES:
        index = torch.randint(len(models) - 1, (1,), generator=generator).item() if len(cases) < CASES else len(models) - 1
        model, vocab = models[index], shapes[index][0]
        settings = draw_settings(generator) if len(cases) < CASES else draw_never_settings(generator)
        beams = settings["num_beams"]
        length = draw([1, 2, 3, 6], generator)
        prompts = torch.randint(3, vocab, (draw([1, 2, 3], generator), length), generator=generator).tolist()
        if length > 1 and draw([True, False], generator):
            prompts[0][0] = PAD
        model.noise = 0.0
        rows, scores = run(model, prompts, settings)
        model.noise = 1e-4
        if any(run(model, prompts, settings)[0] != rows for _ in range(4)):
            dropped += 1
            continue
        if beams > 1 and min(scores) < -1e8:
            raise SystemExit("a beam that never ran was returned: make the vocabulary larger")
        case = {"model": index, "prompts": prompts, "settings": settings, "new_tokens": rows}
        if scores:
            case["scores"] = [round(score, 6) for score in scores]
        cases.append(case)
    document = {
        "models": [
            {
                "last": [[round(x, 3) for x in row] for row in model.last.tolist()],
                "before_last": [[round(x, 3) for x in row] for row in model.before_last.tolist()],
            }
            for model in models
        ],
        "cases": cases,
    }
    lines = ['{"models": [']
    lines.append(",\n".join(json.dumps(model, separators=(",", ":")) for model in document["models"]))
    lines.append('], "cases": [')
    lines.append(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
    lines.append("]}")
    (HERE / "search-cases.json").write_text("\n".join(lines) + "\n")
    source = {
        "file": "search-cases.json",
        "repository": "https://github.com/huggingface/transformers",
        "script": "make_search_cases.py",
        "seed": SEED,
        "dtype": "float32",
        "versions": {
            "transformers": transformers.__version__,
            "torch": torch.__version__.split("+")[0],
            "python": platform.python_version(),
        },
        "cases": len(cases),
        "dropped_for_small_margins": dropped,
    }
    (HERE / "source.json").write_text(json.dumps(source, indent=2) + "\n")
    print(source)


main()
