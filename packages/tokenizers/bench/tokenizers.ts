import { createTokenizer } from '../src/index.ts';
import { tokenizerFiles } from '../src/__fixtures__/files.ts';

// node packages/tokenizers/bench/tokenizers.ts

const CAPTION = 'a brown horse runs towards the green grass on a sunny day while two people watch from the fence';

/** The median of nine runs, after two to warm up. */
function median(run: () => unknown): string {
  const times: number[] = [];
  for (let round = -2; round < 9; round++) {
    const begin = performance.now();
    run();
    if (round >= 0) times.push(performance.now() - begin);
  }
  return times.toSorted((left, right) => left - right)[4]!.toFixed(1);
}

for (const kind of ['bert', 'opt', 't5']) {
  const files = tokenizerFiles(`models/tokenizers-real/${kind}`);
  const begin = performance.now();
  const tokenizer = createTokenizer(files);
  console.log(
    `${kind}: first load ${(performance.now() - begin).toFixed(0)} ms, later ${median(() => createTokenizer(files))} ms`,
  );
  const texts = Array.from({ length: 10_000 }, (_, index) => `${CAPTION} number ${index}`);
  const ids = texts.map((text) => tokenizer.encode(text));
  console.log(`  10,000 captions: encode ${median(() => texts.map((text) => tokenizer.encode(text)))} ms`);
  console.log(`  10,000 captions: decode ${median(() => ids.map((row) => tokenizer.decode(row)))} ms`);
  for (const character of ['a', ' ', '中', '!', '\u0301', '𠀀']) {
    const text = character.repeat(1_000_000 / character.length);
    console.log(`  a million units of ${JSON.stringify(character)}: encode ${median(() => tokenizer.encode(text))} ms`);
  }
}
