"""Makes tokenizer-cases.json: what Hugging Face tokenizers does to random texts and ids, with the real vocabularies.

    pip install transformers
    python make_tokenizer_cases.py ../../../../testing/fixtures/models/tokenizers-real

The texts mix scripts, white space of all kinds, marks, emoji sequences, added tokens and arbitrary code points.
"""

import json
import pathlib
import platform
import random
import sys

import tokenizers
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

SEED = 20240611
TEXTS = 160
HERE = pathlib.Path(__file__).parent


def characters(*ranges):
    return [chr(code) for begin, end in ranges for code in range(begin, end)]


POOLS = [
    characters((0x20, 0x7F)),
    list(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2000\u2028\u2029\u202f\u3000\u200b\ufeff\u180e"),
    characters((0xA0, 0x250)),
    characters((0x300, 0x600)),
    characters((0x900, 0xE00)),
    characters((0x1100, 0x1200), (0xAC00, 0xAC80)),
    characters((0x1E00, 0x2C00)),
    characters((0x3000, 0x3400), (0x4E00, 0x4F00), (0xF900, 0xFB60), (0xFF00, 0xFFF0)),
    characters((0x1F1E6, 0x1F200), (0x1F3F0, 0x1F680)) + list("\u200d\ufe0f\u20e3"),
    characters((0x20000, 0x20010)) + [chr(code) for code in (0x2B920, 0x2F800, 0xE0001, 0x10FFFF, 0)],
    ["▁", "Ġ", "Ċ", "##", "'s", "n't", "ﾊﾞ", "\r\n", "e\u0301", "\u1112\u1161\u11ab"],
    ["[CLS]", "[SEP]", "[DEC]", "[MASK]", "</s>", "<pad>", "<image>", "<unk>", "<s>", "<extra_id_0>", "<extra_id_99>"],
    ["the ", "cat ", "sitting ", "photo ", "Question:", " Answer:", " dog", " 1999", " don't", " ,", " ."],
]


def random_text(generator):
    pools = generator.sample(POOLS, generator.choice([1, 1, 2, 3, 4]))
    anything = [chr(generator.randrange(0xD800)), chr(generator.randrange(0xE000, 0x110000))]
    length = generator.choice([1, 2, 3, 5, 8, 13, 30])
    return "".join(generator.choice(generator.choice([*pools, anything])) for _ in range(length))


def vocabulary_cases(folder, kind):
    generator = random.Random(f"{SEED} {kind}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / kind)
    backend = tokenizer._tokenizer
    cases = []
    for _ in range(TEXTS):
        text = random_text(generator)
        random_ids = [generator.randrange(len(tokenizer)) for _ in range(generator.choice([1, 3, 10]))]
        cases.append(
            {
                "text": text,
                "ids": tokenizer(text)["input_ids"],
                "random_ids": random_ids,
                "decoded": backend.decode(random_ids, skip_special_tokens=True),
                "decoded_with_special": backend.decode(random_ids, skip_special_tokens=False),
            }
        )
    return cases


def flag_cases():
    """A BERT tokenizer with added tokens that have every flag."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "##a", "##b", "##c", "."]
    tokenizer = Tokenizer(models.WordPiece({piece: id for id, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in pieces[:4]])
    tokenizer.add_tokens(
        [
            AddedToken("<L>", lstrip=True, normalized=False),
            AddedToken("<R>", rstrip=True, normalized=False),
            AddedToken("cab", single_word=True, normalized=False),
            AddedToken("Abc", normalized=True),
            AddedToken("Abca", normalized=True),
        ]
    )
    texts = ["a <L> b", "a <R> b", "a<L><R>b", "a cab b", "acab", "cab.", "cab_", "ABC", "aBCa", "abcab", " <L>\n<R> ", "<R>  <L>"]
    cases = [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in texts]
    return {"tokenizer": json.loads(tokenizer.to_str()), "cases": cases}


def main():
    transformers.logging.set_verbosity_error()
    folder = pathlib.Path(sys.argv[1])
    document = {kind: vocabulary_cases(folder, kind) for kind in ("bert", "opt", "t5")} | {"flags": flag_cases()}
    (HERE / "tokenizer-cases.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
    source = {
        "file": "tokenizer-cases.json",
        "repository": "https://github.com/huggingface/tokenizers",
        "script": "make_tokenizer_cases.py",
        "seed": SEED,
        "versions": {
            "tokenizers": tokenizers.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
    }
    (HERE / "source.json").write_text(json.dumps(source, indent=2) + "\n")


main()
