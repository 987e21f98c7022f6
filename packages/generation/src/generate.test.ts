import { seededRandom, type GenerateOptions } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { generate, logSoftmax, streamTokens, type AbortOptions } from './index.ts';
import {
  randomTableModel,
  tableLogits,
  TableSession,
  type TableModel,
  type TableSessionOptions,
} from './__fixtures__/table-session.ts';

/** A model of six tokens that writes 3 4 5 2 after any prompt of one token, and would end with 2. */
const chain: TableModel = {
  last: [1, 2, 3, 4, 5, 2].map((next) => [0, 1, 2, 3, 4, 5].map((id) => (id === next ? 4 : 1))),
  beforeLast: Array.from({ length: 6 }, () => [0, 0, 0, 0, 0, 0]),
};
const random = randomTableModel(12, seededRandom(3));

async function run(
  options: GenerateOptions & AbortOptions,
  sessionOptions: TableSessionOptions & { readonly model?: TableModel; readonly prompts?: number[][] } = {},
) {
  const session = new TableSession(sessionOptions.model ?? chain, sessionOptions.prompts ?? [[2]], sessionOptions);
  try {
    return await generate(session, options);
  } finally {
    session.dispose();
  }
}

async function sampledText(seed: number): Promise<string> {
  return (await run({ sampling: { seed } }, { model: random, prompts: [[3]] }))[0]![0]!.tokenIds.join();
}

function failThirdRun(step: number): void {
  if (step === 2) throw new Error('out of memory');
}

async function collect(tokens: AsyncIterable<number>): Promise<number[]> {
  const all = [];
  for await (const token of tokens) all.push(token);
  return all;
}

describe('greedy search', () => {
  it('stops at the end token, which belongs to newTokenIds only', async () => {
    expect(await run({})).toEqual([[{ tokenIds: [3, 4, 5], newTokenIds: [3, 4, 5, 2], endedBy: 'end-token' }]]);
  });

  it('stops at maxNewTokens', async () => {
    expect(await run({ maxNewTokens: 2 })).toEqual([[{ tokenIds: [3, 4], newTokenIds: [3, 4], endedBy: 'length' }]]);
  });

  it('writes at most 30 tokens by default, and no more than fit', async () => {
    expect((await run({ endTokenIds: [] }))[0]![0]!.tokenIds).toHaveLength(30);
    expect((await run({ endTokenIds: [] }, { maxNewTokens: 7 }))[0]![0]!.tokenIds).toHaveLength(7);
  });

  it('forbids end tokens for minNewTokens tokens', async () => {
    expect((await run({ minNewTokens: 6 }))[0]![0]!.newTokenIds).toEqual([3, 4, 5, 0, 1, 0, 1, 2]);
  });

  it('takes the lower id where two logits are equal', async () => {
    const flat = { last: chain.last.map(() => [0, 1, 0, 1, 1, 0]), beforeLast: chain.beforeLast };
    expect((await run({ maxNewTokens: 1 }, { model: flat }))[0]![0]!.tokenIds).toEqual([1]);
  });

  it('never draws an id that the tokenizer lacks, and finds the ids that the reference finds', async () => {
    const seeds = Array.from({ length: 20 }, (_, seed) => seed);
    for (const seed of seeds) {
      const [texts] = await run({ maxNewTokens: 6, sampling: { temperature: 5, seed } }, { usableVocabSize: 4 });
      expect(Math.max(...texts![0]!.tokenIds)).toBeLessThan(4);
    }
    for (const beams of [1, 2]) {
      expect(await run({ maxNewTokens: 6, beams }, { usableVocabSize: 4 })).toEqual(await run({ maxNewTokens: 6, beams }));
    }
  });

  it('counts the prompt as history or not, as historyScope says', async () => {
    const options = { repetitionPenalty: 10, maxNewTokens: 1 };
    expect((await run(options, { prompts: [[3, 2]] }))[0]![0]!.tokenIds).toEqual([0]);
    expect((await run({ ...options, historyScope: 'new-tokens' }, { prompts: [[3, 2]] }))[0]![0]!.tokenIds).toEqual([3]);
  });

  it('runs only the prompts that go on', async () => {
    const session = new TableSession(chain, [[5], [2]]); // the first ends at once, the second after four tokens
    await generate(session, {});
    expect(session.computedRows).toBe(2 + 1 + 1 + 1);
    session.dispose();
  });
});

describe('beam search', () => {
  it('runs a prompt once, then its beams, and drops prompts that are done', async () => {
    const session = new TableSession(chain, [[5], [2]]);
    const options = { beams: 2, maxNewTokens: 4, earlyStopping: true, lengthPenalty: 0 };
    const texts = await generate(session, options);
    const alone = [];
    for (const prompt of [[5], [2]]) {
      const single = new TableSession(chain, [prompt]);
      alone.push(...(await generate(single, options)));
      single.dispose();
    }
    expect(texts).toEqual(alone);
    expect(session.computedRows).toBeLessThan(2 + 3 * 4);
    session.dispose();
  });

  it('returns fewer texts where there are no more', async () => {
    const [texts] = await run({ beams: 8, returnSequences: 8, maxNewTokens: 1 });
    expect(texts!.map((text) => text.newTokenIds)).toEqual([[3], [0], [1], [2], [4], [5]]);
  });

  it('says so when the rules leave no text', async () => {
    const all = [0, 1, 2, 3, 4, 5];
    for (const beams of [1, 2]) {
      await expect(run({ beams, minNewTokens: 2, maxNewTokens: 3, endTokenIds: all })).rejects.toThrow(
        "generate: the rules forbid every next token of prompt 0, expected at least one allowed. Loosen noRepeatNgramSize or minNewTokens, or set historyScope to 'new-tokens'.",
      );
    }
  });
});

describe('sampling', () => {
  it('gives the same text for the same seed, and other texts for others', async () => {
    expect(await sampledText(1)).toBe(await sampledText(1));
    const seeds = Array.from({ length: 20 }, (_, seed) => sampledText(seed));
    expect(new Set(await Promise.all(seeds)).size).toBeGreaterThan(15);
  });

  it('draws tokens as often as they are likely', async () => {
    const draws = 4000;
    const [texts] = await run(
      { sampling: { temperature: 1.5, topK: 4, topP: 0.9 }, returnSequences: draws, maxNewTokens: 1 },
      { model: random, prompts: [[3]] },
    );
    const scaled = tableLogits(random, [3]).map((logit) => logit / 1.5);
    const order = [...scaled.keys()].toSorted((left, right) => scaled[right]! - scaled[left]!);
    const four = logSoftmax(order.slice(0, 4).map((id) => scaled[id]!)).map(Math.exp);
    let mass = 0;
    const kept = order.slice(0, 4).filter((_, rank) => (mass += four[rank]!) - four[rank]! < 0.9);
    const expected = logSoftmax(kept.map((id) => scaled[id]!)).map(Math.exp);
    const counts = kept.map((id) => texts!.filter((text) => text.newTokenIds[0] === id).length);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(draws); // nothing else was drawn
    for (const [index, count] of counts.entries()) {
      const deviation = Math.sqrt((expected[index]! * (1 - expected[index]!)) / draws);
      expect(Math.abs(count / draws - expected[index]!)).toBeLessThan(4 * deviation);
    }
  });

  it('is greedy search with top-k 1', async () => {
    const setup = { model: random, prompts: [[3], [7]] };
    expect(await run({ sampling: { topK: 1, temperature: 3 } }, setup)).toEqual(await run({}, setup));
  });
});

describe('streamTokens', () => {
  it('gives the tokens of generate, without the end token', async () => {
    for (const options of [{}, { maxNewTokens: 2 }, { sampling: { seed: 4 } }, { minNewTokens: 5 }]) {
      const session = new TableSession(random, [[3]]);
      const streamed = await collect(streamTokens(session, options));
      session.dispose();
      expect(streamed).toEqual((await run(options, { model: random, prompts: [[3]] }))[0]![0]!.tokenIds);
    }
  });

  it('works only when asked', async () => {
    const steps: number[] = [];
    const session = new TableSession(chain, [[2]], { onRun: (step) => steps.push(step) });
    const tokens = streamTokens(session, { endTokenIds: [] });
    expect(steps).toEqual([]);
    await tokens.next();
    await tokens.next();
    expect(steps).toEqual([0, 1]);
    session.dispose();
  });

  it('leaves nothing behind when the loop is left', async () => {
    await expectNoLeak(async () => {
      const session = new TableSession(chain, [[2]]);
      for await (const token of streamTokens(session)) if (token === 4) break;
      session.dispose();
    });
    await expectNoLeak(async () => {
      const session = new TableSession(chain, [[2]]);
      const stop = new Error('stop');
      const consume = async (): Promise<void> => {
        for await (const token of streamTokens(session)) if (token === 4) throw stop;
      };
      await expect(consume()).rejects.toBe(stop);
      session.dispose();
    });
  });

  it('refuses what cannot be streamed', async () => {
    const two = new TableSession(chain, [[2], [3]]);
    await expect(collect(streamTokens(two))).rejects.toThrow(
      'streamTokens: the session has 2 rows, expected 1. Make one session a prompt, or call generate.',
    );
    two.dispose();
    const one = new TableSession(chain, [[2]]);
    await expect(collect(streamTokens(one, { beams: 3 }))).rejects.toThrow(
      'streamTokens: beams is 3, expected 1. Beam search cannot be streamed, its tokens are final only when the search ends: call generate.',
    );
    await expect(collect(streamTokens(one, { sampling: {}, returnSequences: 2 }))).rejects.toThrow(
      'streamTokens: returnSequences is 2, expected 1. Call generate for several texts.',
    );
    one.dispose();
  });
});

describe('memory and aborts', () => {
  const variants: readonly GenerateOptions[] = [
    { endTokenIds: [] },
    { endTokenIds: [], beams: 3 },
    { endTokenIds: [], sampling: {}, returnSequences: 2 },
  ];
  for (const options of variants) {
    it(`stops at the step that is aborted, and leaks nothing: ${JSON.stringify(options)}`, async () => {
      await expectNoLeak(() => run(options));
      for (const abortStep of [0, 3]) {
        const controller = new AbortController();
        let steps = 0;
        const onRun = (step: number): void => {
          steps++;
          if (step === abortStep) controller.abort();
        };
        await expectNoLeak(async () => {
          const failure = await run({ ...options, abortSignal: controller.signal }, { onRun }).catch((cause: unknown) => cause);
          expect(failure).toBe(controller.signal.reason);
          expect((failure as Error).name).toBe('AbortError');
        });
        expect(steps).toBe(abortStep + 1);
      }
    });

    it(`does not start when aborted before: ${JSON.stringify(options)}`, async () => {
      let steps = 0;
      const abortSignal = AbortSignal.abort(new Error('changed my mind'));
      await expect(run({ ...options, abortSignal }, { onRun: () => steps++ })).rejects.toThrow('changed my mind');
      expect(steps).toBe(0);
    });

    it(`leaks nothing when the model fails: ${JSON.stringify(options)}`, async () => {
      await expectNoLeak(() => expect(run(options, { onRun: failThirdRun })).rejects.toThrow('out of memory'));
    });
  }

  it('refuses logits that are no numbers, and frees them', async () => {
    const broken = { ...chain, last: chain.last.map((row, token) => (token === 4 ? [0, Number.NaN, 0, 0, 0, 0] : row)) };
    await expectNoLeak(() =>
      expect(run({}, { model: broken })).rejects.toThrow(
        "generate: the model's logit of token 1 in row 0 is NaN, expected a finite number. Look for NaN in the image features, the prompt embeddings and the weights.",
      ),
    );
  });

  it('refuses logits of another shape, and frees them', async () => {
    const session = new TableSession(chain, [[2]]);
    session.start = () => Promise.resolve(tf.zeros([2, 6]));
    await expectNoLeak(() =>
      expect(generate(session)).rejects.toThrow("generate: the session's logits is [2, 6], expected [1, vocab]."),
    );
    session.dispose();
  });
});

describe('options', () => {
  const refused: readonly [GenerateOptions, string][] = [
    [
      { beams: 0 },
      'generate: beams is 0, expected an integer of at least 1. Correct the option, or leave it out for the default.',
    ],
    [{ beams: 2.5 }, 'generate: beams is 2.5, expected an integer of at least 1.'],
    [{ beams: Number.NaN }, 'generate: beams is NaN, expected an integer of at least 1.'],
    [
      { beams: 2, sampling: {} },
      'generate: beams is 2 and sampling is set, expected one of the two. Leave out sampling, or set beams to 1.',
    ],
    [
      { returnSequences: 2 },
      'generate: returnSequences is 2, expected at most beams (1) without sampling. Raise beams, or set sampling.',
    ],
    [{ beams: 3, returnSequences: 4 }, 'generate: returnSequences is 4, expected at most beams (3) without sampling.'],
    [{ maxNewTokens: 0 }, 'generate: maxNewTokens is 0, expected an integer of at least 1.'],
    [
      { maxNewTokens: 51 },
      "generate: maxNewTokens is 51, expected at most 50, which is what fits into the model's context. Set maxNewTokens to 50 or less, or shorten the prompt.",
    ],
    [{ minNewTokens: -1 }, 'generate: minNewTokens is -1, expected an integer of at least 0.'],
    [
      { minNewTokens: 9, maxNewTokens: 5 },
      'generate: minNewTokens is 9, expected at most maxNewTokens (5). Lower it, or raise maxNewTokens.',
    ],
    [{ lengthPenalty: Number.NaN }, 'generate: lengthPenalty is NaN, expected a finite number.'],
    [{ earlyStopping: 'always' as 'never' }, 'generate: earlyStopping is "always", expected true or false or "never".'],
    [{ repetitionPenalty: 0 }, 'generate: repetitionPenalty is 0, expected a number above 0.'],
    [{ repetitionPenalty: Number.POSITIVE_INFINITY }, 'generate: repetitionPenalty is Infinity, expected a number above 0.'],
    [{ noRepeatNgramSize: -2 }, 'generate: noRepeatNgramSize is -2, expected an integer of at least 0.'],
    [{ historyScope: 'all' as 'prompt' }, 'generate: historyScope is "all", expected "prompt" or "new-tokens".'],
    [{ sampling: { temperature: -1 } }, 'generate: sampling.temperature is -1, expected a number above 0.'],
    [{ sampling: { temperature: 0 } }, 'generate: sampling.temperature is 0, expected a number above 0.'],
    [{ sampling: { topK: -1 } }, 'generate: sampling.topK is -1, expected an integer of at least 0.'],
    [{ sampling: { topP: 0 } }, 'generate: sampling.topP is 0, expected a number above 0.'],
    [{ sampling: { topP: 1.1 } }, 'generate: sampling.topP is 1.1, expected a probability in (0, 1]. Use 1 to keep every token.'],
    [{ sampling: { seed: 0.5 } }, 'generate: sampling.seed is 0.5, expected an integer.'],
    [{ endTokenIds: [2, -1] }, 'generate: endTokenIds is -1, expected an integer of at least 0.'],
  ];
  for (const [options, message] of refused) {
    it(`refuses ${JSON.stringify(options)}`, async () => {
      const failure = run(options, { maxNewTokens: 50 });
      await expect(failure).rejects.toThrow(message);
      await expect(failure).rejects.toMatchObject({ code: 'input' });
    });
  }

  it('refuses a prompt that leaves no room', async () => {
    await expect(run({}, { maxNewTokens: 0 })).rejects.toThrow(
      'generate: the prompt leaves room for 0 new tokens, expected at least 1. Shorten the prompt.',
    );
  });
});
