import { describe, expect, it } from 'vitest';
import { describeOptions, type Options, parseCommandLine } from './command-line.ts';

const OPTIONS = {
  text: { type: 'texts', hint: 'TEXT…', description: 'texts' },
  prompt: { type: 'text', hint: 'TEXT', description: 'a text', default: '' },
  lengthPenalty: { type: 'number', hint: 'X', description: 'a number', default: 1 },
  noRepeatNgramSize: { type: 'integer', hint: 'N', description: 'a size', min: 0 },
  earlyStopping: { type: 'choice', choices: ['false', 'true', 'never'], description: 'when', default: 'false' },
  json: { type: 'flag', description: 'JSON' },
} as const satisfies Options;

const parse = (...words: string[]): ReturnType<typeof parseCommandLine<typeof OPTIONS>> => parseCommandLine(words, OPTIONS);

describe('parseCommandLine', () => {
  it('gives defaults where nothing is said', () => {
    expect(parse('a.jpg').values).toEqual({
      text: [],
      prompt: '',
      lengthPenalty: 1,
      noRepeatNgramSize: undefined,
      earlyStopping: 'false',
      json: false,
    });
  });

  it('reads lists up to the next option, and repeated options', () => {
    const { values, positionals } = parse('a.jpg', 'b.jpg', '--text', 'a dog', 'a cat', '--json', '--text', 'a cow');
    expect(positionals).toEqual(['a.jpg', 'b.jpg']);
    expect(values.text).toEqual(['a dog', 'a cat', 'a cow']);
    expect(values.json).toBe(true);
  });

  it('reads negative numbers, --name=value and names that begin with no', () => {
    expect(parse('--length-penalty', '-1', '--no-repeat-ngram-size', '3').values).toMatchObject({
      lengthPenalty: -1,
      noRepeatNgramSize: 3,
    });
    expect(parse('--length-penalty=-0.5', '--prompt=a = b').values).toMatchObject({ lengthPenalty: -0.5, prompt: 'a = b' });
  });

  it('takes words after -- as they are', () => {
    expect(parse('--text', 'a', '--', '--strange.jpg').positionals).toEqual(['--strange.jpg']);
  });

  it.each<[string[], string]>([
    [['--lenght-penalty', '1'], 'Unknown option --lenght-penalty. Did you mean --length-penalty?'],
    [
      ['--zoo'],
      'Unknown option --zoo. Known are --text, --prompt, --length-penalty, --no-repeat-ngram-size, --early-stopping, --json.',
    ],
    [['--length-penalty', 'high'], "--length-penalty is 'high', expected a number."],
    [['--length-penalty', ''], "--length-penalty is '', expected a number."],
    [['--no-repeat-ngram-size', '2.5'], "--no-repeat-ngram-size is '2.5', expected a whole number, 0 or more."],
    [['--early-stopping', 'maybe'], "--early-stopping is 'maybe', expected one of false, true, never."],
    [['--prompt'], '--prompt needs a value: --prompt TEXT.'],
    [['--json=yes'], "--json takes no value, but 'yes' was given. Leave it out."],
  ])('refuses %j', (words, message) => {
    expect(() => parse(...words)).toThrow(message);
  });
});

it('describes options for --help', () => {
  expect(describeOptions(OPTIONS)).toMatchInlineSnapshot(`
    "  --text TEXT…                      texts
      --prompt TEXT                     a text
      --length-penalty X                a number (default: 1)
      --no-repeat-ngram-size N          a size
      --early-stopping false|true|never when (default: false)
      --json                            JSON"
  `);
});
