import { createRequire } from 'node:module';
import type { Benchmark } from '@blip2/eval';
import { UsageError } from '../command-line.ts';
import { type Command, defineCommand } from '../command.ts';
import { EVAL_OPTIONS } from '../eval/eval-options.ts';
import type { Evaluation, EvaluationInput } from '../eval/evaluation.ts';

const NAMES = 'coco-caption, nocaps, vqav2, gqa, flickr30k, coco-retrieval';

/** What the command calls what a metric lacks. */
const WAYS: Readonly<Record<string, string>> = {
  METEOR: ' Here: --meteor-data FOLDER, without Java, or --meteor-jar FILE.',
  SPICE: ' Here: --spice-jar FILE.',
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
    const evaluation = await evaluate(name, { values, session });
    const run = { ...evaluation.run, date: new Date().toISOString(), versions: versions() };
    const { resultTable } = await import('@blip2/eval/report');
    if (values.output !== undefined) {
      const { writeRun } = await import('../eval/write-run.ts');
      await writeRun(values.output, run, evaluation);
    }
    const { scores, unavailable } = run;
    for (const [metric, reason] of Object.entries(unavailable ?? {}))
      session.output.note(`${metric} is not there: ${reason}${WAYS[metric] ?? ''}`);
    session.output.result({ ...scores, ...(unavailable && { unavailable }) }, resultTable(run).trimEnd());
    return 0;
  },
});

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
