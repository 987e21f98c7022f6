"""The peer of our caption metrics: the Python parts of the COCO caption tools, on captions that are tokenised already.

With pycocoevalcap installed its scorers run. Without it, the same algorithms run, written for this comparison with the
data structures that the tools use: tuples of words in dictionaries, a table for the longest common subsequence, one
dictionary of weights for each order of n-grams. Logarithms are those of `math`, which are faster than NumPy's on single
numbers. Nothing else is needed but Python.

A long-lived process. Each line of standard input is a request, each line of standard output its answer, both JSON
objects; `peers/protocol.ts` has their types.
"""

import json
import math
import os
import platform
import sys
import time
from collections import defaultdict

PROTOCOL = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

LONGEST = 4


def ngrams(sentence):
    """How often each n-gram occurs, n from 1 to 4."""
    words = sentence.split()
    counts = defaultdict(int)
    for n in range(1, LONGEST + 1):
        for start in range(len(words) - n + 1):
            counts[tuple(words[start : start + n])] += 1
    return len(words), counts


def bleu(captions):
    """BLEU-4 of the corpus; each image's own is computed on the way, as the tools do."""
    tiny, small = 1e-15, 1e-9
    total_guess, total_match = [0] * LONGEST, [0] * LONGEST
    total_length = total_reference = 0
    per_image = []

    def score(length, reference, guess, match):
        ratio = (length + tiny) / (reference + small)
        product, scores = 1.0, []
        for k in range(LONGEST):
            product *= (match[k] + tiny) / (guess[k] + small)
            value = product ** (1.0 / (k + 1))
            scores.append(value * math.exp(1 - 1 / ratio) if ratio < 1 else value)
        return scores

    for candidate, references in captions:
        most, lengths = {}, []
        for reference in references:
            length, counts = ngrams(reference)
            lengths.append(length)
            for gram, count in counts.items():
                most[gram] = max(most.get(gram, 0), count)
        length, counts = ngrams(candidate)
        closest = min((abs(one - length), one) for one in lengths)[1]
        guess = [max(0, length - k) for k in range(LONGEST)]
        match = [0] * LONGEST
        for gram, count in counts.items():
            match[len(gram) - 1] += min(most.get(gram, 0), count)
        per_image.append(score(length, closest, guess, match))
        total_length += length
        total_reference += closest
        for k in range(LONGEST):
            total_guess[k] += guess[k]
            total_match[k] += match[k]
    return score(total_length, total_reference, total_guess, total_match)[LONGEST - 1]


def common_subsequence(one, other):
    if len(one) < len(other):
        one, other = other, one
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for column in range(1, len(other) + 1):
        for row in range(1, len(one) + 1):
            if one[row - 1] == other[column - 1]:
                lengths[row][column] = lengths[row - 1][column - 1] + 1
            else:
                lengths[row][column] = max(lengths[row - 1][column], lengths[row][column - 1])
    return lengths[len(one)][len(other)]


def rouge(captions):
    beta, scores = 1.2, []
    for candidate, references in captions:
        words = candidate.split(" ")
        precisions, recalls = [], []
        for reference in references:
            others = reference.split(" ")
            common = common_subsequence(others, words)
            precisions.append(common / float(len(words)))
            recalls.append(common / float(len(others)))
        precision, recall = max(precisions), max(recalls)
        if precision != 0 and recall != 0:
            scores.append(((1 + beta**2) * precision * recall) / float(recall + beta**2 * precision))
        else:
            scores.append(0.0)
    return sum(scores) / len(scores)


def cider(captions):
    sigma = 6.0
    tests = [ngrams(candidate)[1] for candidate, _ in captions]
    references = [[ngrams(reference)[1] for reference in some] for _, some in captions]
    frequency = defaultdict(float)
    for some in references:
        for gram in {gram for one in some for gram in one}:
            frequency[gram] += 1
    log_images = math.log(float(len(references)))

    def vector_of(counts):
        vector, norm, length = [defaultdict(float) for _ in range(LONGEST)], [0.0] * LONGEST, 0
        for gram, count in counts.items():
            order = len(gram) - 1
            vector[order][gram] = float(count) * (log_images - math.log(max(1.0, frequency[gram])))
            norm[order] += pow(vector[order][gram], 2)
            if order == 1:
                length += count
        return vector, [math.sqrt(one) for one in norm], length

    def similarity(test, other):
        (vector, norm, length), (vector_other, norm_other, length_other) = test, other
        values, delta = [0.0] * LONGEST, float(length - length_other)
        for order in range(LONGEST):
            for gram in vector[order]:
                weight = vector_other[order][gram]
                values[order] += min(vector[order][gram], weight) * weight
            if norm[order] != 0 and norm_other[order] != 0:
                values[order] /= norm[order] * norm_other[order]
            values[order] *= math.exp(-(delta**2) / (2 * sigma**2))
        return values

    scores = []
    for test, some in zip(tests, references):
        vector, total = vector_of(test), [0.0] * LONGEST
        for one in some:
            for order, value in enumerate(similarity(vector, vector_of(one))):
                total[order] += value
        scores.append(sum(total) / LONGEST / len(some) * 10.0)
    return sum(scores) / len(scores)


def tools():
    """pycocoevalcap's scorers, or those of this file."""
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError:
        return "its algorithms", lambda captions: (bleu(captions), rouge(captions), cider(captions))

    def score(captions):
        truth = {index: references for index, (_, references) in enumerate(captions)}
        result = {index: [candidate] for index, (candidate, _) in enumerate(captions)}
        values = Bleu(LONGEST).compute_score(truth, result, verbose=0)[0]
        return values[3], Rouge().compute_score(truth, result)[0], Cider().compute_score(truth, result)[0]

    return "installed", score


class CaptionMetrics:
    def __init__(self, task):
        with open(os.path.join(task["folder"], "captions_tokens.json"), encoding="utf-8") as file:
            self.captions = [(one["candidate"], one["references"]) for one in json.load(file)]
        self.version, self.score = tools()

    def run(self):
        names = ("BLEU-4", "ROUGE-L", "CIDEr")
        return {"values": {name: float(value) for name, value in zip(names, self.score(self.captions))}}


def peak_bytes():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    loaded = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["command"] == "quit":
            break
        try:
            if request["command"] == "load":
                loaded = CaptionMetrics(request["task"])
                answer = {
                    "runtime": f"Python {platform.python_version()}",
                    "libraries": {"pycocoevalcap:": loaded.version},
                    "threads": 1,
                }
            elif request["command"] == "run":
                begin = time.perf_counter()
                values = loaded.run()
                answer = {"ms": (time.perf_counter() - begin) * 1000, **values}
            elif request["command"] == "memory":
                answer = {"peakBytes": peak_bytes()}
            else:
                raise ValueError("scorers have values and no output")
            answer = {"ok": True, **answer}
        except Exception as problem:  # the harness reports it
            answer = {"ok": False, "error": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(answer), file=PROTOCOL)


main()
