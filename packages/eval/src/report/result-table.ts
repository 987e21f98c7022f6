import type { BenchmarkRun } from '../benchmarks/benchmark-run.ts';
import { breakdowns } from './breakdowns.ts';
import { type PublishedSection, publishedSections } from './published-sections.ts';
import {
  BENCHMARK_WORDS,
  capitalized,
  comparisonNote,
  dateWords,
  flatEntries,
  scoredWords,
  scoreTable,
  shownScore,
} from './run-scores.ts';

/**
 * A run in Markdown: its scores, the published numbers beside them, breakdowns, settings and versions. Units are the paper's: percent,
 * caption metrics times 100.
 *
 * @example
 * await writeFile('report.md', resultTable(run));
 */
export function resultTable(run: BenchmarkRun): string {
  const words = BENCHMARK_WORDS[run.benchmark];
  const settings = flatEntries(run.settings ?? {});
  const versions = flatEntries(run.versions);
  return [
    `# ${words.title}: ${escape(run.model)}`,
    `${escape(dateWords(run.date))}. Scored: ${escape(scoredWords(run))}. ${words.factor === 100 ? 'Caption metrics are times 100.' : 'Scores are in percent.'}`,
    ...scoreLines(run),
    '## Beside published numbers',
    escape(comparisonNote(run)),
    ...publishedSections(run).flatMap((section) => publishedLines(run, section)),
    ...breakdowns(run).flatMap(({ title, rows, isMean }) => [
      `## ${title === 'recall' ? 'Recall' : `By ${escape(title)}`}`,
      ...(isMean ? [`Means of the items' scores (${escape(run.mainScore)}).`] : []),
      table(
        [title, words.items, 'score'],
        rows.map(({ name, count, score }) => [escape(name), count?.toLocaleString('en') ?? '', shownScore(score, words)]),
      ),
    ]),
    ...(settings.length === 0
      ? []
      : [
          '## Settings',
          table(
            ['setting', 'value'],
            settings.map((row) => row.map(escape)),
            2,
          ),
        ]),
    ...(versions.length === 0
      ? []
      : [
          '## Versions',
          table(
            ['of', 'version'],
            versions.map((row) => row.map(escape)),
            2,
          ),
        ]),
  ]
    .join('\n\n')
    .concat('\n');
}

function scoreLines(run: BenchmarkRun): string[] {
  const words = BENCHMARK_WORDS[run.benchmark];
  const { columns, rows } = scoreTable(run);
  const unavailable = Object.entries(run.unavailable ?? {});
  return [
    '## Scores',
    table(
      [rows.length > 1 ? 'part' : 'items', ...columns],
      rows.map(({ name, scores }) => [
        escape(name),
        ...scores.map((score) => (score === undefined ? '' : shownScore(score, words))),
      ]),
    ),
    ...(unavailable.length === 0
      ? []
      : [unavailable.map(([metric, reason]) => `* ${escape(metric)} is not there: ${escape(reason)}`).join('\n')]),
  ];
}

function publishedLines(run: BenchmarkRun, { title, columns, ours, rows }: PublishedSection): string[] {
  const own = ours.map((score) => (score === undefined ? '' : `**${score.toFixed(2)}**`));
  return [
    `### ${capitalized(title)}`,
    table(
      ['model', 'trained', ...columns.map((column) => column.title), 'source'],
      [
        [`**${escape(run.model)}**`, '', ...own, 'this run'],
        ...rows.map(({ model, trainable = '', shown, source }) => [
          escape(model),
          escape(trainable),
          ...shown.map((score) => score ?? ''),
          source,
        ]),
      ],
    ),
  ];
}

/** A table; `texts` columns from the left are words, the rest numbers. Cells are Markdown. */
function table(columns: readonly string[], rows: readonly (readonly string[])[], texts = 1): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const isText = (index: number): boolean => index < texts || columns[index] === 'source';
  return [line(columns.map(escape)), line(columns.map((_, index) => (isText(index) ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  );
}

/** Text that Markdown shows as it is, on one line, also in a table. */
function escape(text: string): string {
  return text
    .replace(/[\\`*_[\]<>|~#&!]/g, (character) => (character === '<' ? '&lt;' : character === '&' ? '&amp;' : `\\${character}`))
    .replace(/\s+/g, ' ');
}
