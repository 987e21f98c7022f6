import { createRequire } from 'node:module';
import type { Benchmark } from '@blip2/eval';
import { UsageError } from '../command-line.ts';
import { type Command, defineCommand } from '../command.ts';
import { defined } from '../defined.ts';
import { EVAL_OPTIONS, type EvalValues } from '../eval/eval-options.ts';
import type { Evaluation, EvaluationInput } from '../eval/evaluation.ts';

const NAMES = 'coco-caption, nocaps, vqav2, gqa, flickr30k, coco-retrieval';

/** What the command calls what a metric may lack. */
const WAYS: Readonly<Record<string, { readonly options: readonly (keyof EvalValues)[]; readonly hint: string }>> = {
  METEOR: { options: ['meteorData', 'meteorJar'], hint: ' Here: --meteor-data FOLDER, without Java, or --meteor-jar FILE.' },
  SPICE: { options: ['spiceJar'], hint: ' Here: --spice-jar FILE.' },
};

export const evalCommand: Command = defineCommand({
  name: 'eval',
  usage: 'eval BENCHMARK --annotations FILE (--predictions FILE | --images FOLDER) [options] | eval compare A.json B.json',
  description:
    `Scores a benchmark as its official tools do: ${NAMES}. Either a result file (--predictions, --scores), or a model, run on the benchmark's images (--images). ` +
    'compare tells what the second of two kept runs changed. No Java, except for SPICE.',
  options: EVAL_OPTIONS,
  async run(positionals, values, session) {
    const [name, ...others] = positionals;
    if (name === 'compare') {
      const { compareResults } = await import('../eval/compare.ts');
      await compareResults(others, values.output, session);
      return 0;
    }
    if (name === undefined || others.length > 0)
      throw new UsageError(
        `eval takes one benchmark, and ${name === undefined ? 'none was named' : `'${positionals.join(' ')}' were named`}. Name one of ${NAMES}.`,
      );
    if (values.output !== undefined) {
      const { makeOutputFolder } = await import('../eval/output-folder.ts');
      await makeOutputFolder(values.output);
    }
    const evaluation = await evaluate(name, { values, session });
    const unavailable = withHints(evaluation.run.unavailable, values);
    const run = { ...evaluation.run, ...defined({ unavailable }), date: new Date().toISOString(), versions: versions() };
    const { resultTable } = await import('@blip2/eval/report');
    if (values.output !== undefined) {
      const { writeRun } = await import('../eval/write-run.ts');
      await writeRun(values.output, run, evaluation);
    }
    for (const [metric, reason] of Object.entries(unavailable ?? {})) session.output.note(`${metric} is not there: ${reason}`);
    session.output.result({ ...run.scores, ...defined({ unavailable }) }, resultTable(run).trimEnd());
    return 0;
  },
});

/** The reasons, with the options that would help, where none of them was given. */
function withHints(
  reasons: Readonly<Record<string, string>> | undefined,
  values: EvalValues,
): Record<string, string> | undefined {
  if (reasons === undefined) return undefined;
  const hintFor = (metric: string): string => {
    const way = WAYS[metric];
    return way === undefined || way.options.some((option) => values[option] !== undefined) ? '' : way.hint;
  };
  return Object.fromEntries(Object.entries(reasons).map(([metric, reason]) => [metric, reason + hintFor(metric)]));
}

/** Benchmarks are loaded when they are named: the other verbs start without them. */
async function evaluate(name: string, input: EvaluationInput): Promise<Evaluation> {
  switch (name as Benchmark) {
    case 'coco-caption':
    case 'nocaps': {
      const { evaluateCaptionBenchmark } = await import('../eval/caption-benchmarks.ts');
      return evaluateCaptionBenchmark(name as 'coco-caption' | 'nocaps', input);
    }
    case 'vqav2':
      return (await import('../eval/question-benchmarks.ts')).evaluateVqaBenchmark(input);
    case 'gqa':
      return (await import('../eval/question-benchmarks.ts')).evaluateGqaBenchmark(input);
    case 'flickr30k':
    case 'coco-retrieval': {
      const { evaluateRetrievalBenchmark } = await import('../eval/retrieval-benchmarks.ts');
      return evaluateRetrievalBenchmark(name as 'flickr30k' | 'coco-retrieval', input);
    }
    default:
      throw new UsageError(`'${name}' is no benchmark. Known are ${NAMES}; and compare, for two runs.`);
  }
}

function versions(): Record<string, string> {
  const load = createRequire(import.meta.url);
  const { version } = load('@blip2/cli/package.json') as { version: string };
  return { blip2: version, node: process.versions.node };
}
