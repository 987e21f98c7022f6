import type { BenchmarkRun } from '../benchmarks/benchmark-run.ts';
import { type Breakdown, breakdowns, largestGroups } from './breakdowns.ts';
import { chooseExamples, exampleCards, type ExampleOptions } from './example-cards.ts';
import { type Html, html, type HtmlValue } from './html.ts';
import { facts, figure, folded, page, section, table, tiles } from './page.ts';
import type { NamedValue } from './plots.ts';
import { type PublishedSection, publishedSections } from './published-sections.ts';
import {
  BENCHMARK_WORDS,
  capitalized,
  comparisonNote,
  dateWords,
  flatEntries,
  mainValue,
  scoredWords,
  scoreTable,
  scoreTitle,
  shownScore,
} from './run-scores.ts';

/** Options of {@link evaluationReport}. */
export type EvaluationReportOptions = ExampleOptions;

/** What draws, loaded when a page is made and not before. */
type Plots = typeof import('./plots.ts');

/**
 * A run as one page of HTML that needs nothing else: scores beside published ones, breakdowns and the distribution of the items' scores
 * as drawings with their tables, the best, the worst and random examples. Light and dark, no scripts; texts of models and of people are
 * escaped. Units are the paper's: percent, caption metrics times 100.
 *
 * @param options.imageUrl - Called for the items that are shown as examples alone.
 * @throws {InputError} when `imageUrl` gives something else than the address of a picture.
 *
 * @example
 * const toDataUrl = async ({ image }) => `data:image/jpeg;base64,${await readFile(join(folder, image), 'base64')}`;
 * await writeFile('report.html', await evaluationReport(run, { imageUrl: toDataUrl }));
 */
export async function evaluationReport(run: BenchmarkRun, options: EvaluationReportOptions = {}): Promise<string> {
  const plots = await import('./plots.ts');
  const words = BENCHMARK_WORDS[run.benchmark];
  const main = mainValue(run);
  return page({
    title: `${words.title}: ${run.model}`,
    header: html`<h1>${words.title}: <bdi>${run.model}</bdi></h1>
      <p>Scored: ${scoredWords(run)}</p>
      <p>${dateWords(run.date)}</p>
      ${tiles([
        ...(main === undefined ? [] : [[`${scoreTitle(run.mainScore)} (${words.unit})`, shownScore(main, words)] as const]),
        [words.items, run.items.length.toLocaleString('en')],
      ])}`,
    main: html`${scoresSection(run)} ${publishedSection(run, plots)} ${breakdownSection(run, plots)}
    ${await examplesSection(run, options)} ${settingsSection(run)}`,
    footer: 'Written by @blip2/eval.',
  });
}

function scoresSection(run: BenchmarkRun): Html {
  const words = BENCHMARK_WORDS[run.benchmark];
  const { columns, rows } = scoreTable(run);
  const unavailable = Object.entries(run.unavailable ?? {});
  return section(
    'Scores',
    table({
      caption: words.factor === 100 ? 'Times 100, as papers print them' : 'In percent',
      columns: [rows.length > 1 ? 'part' : 'items', ...columns],
      rows: rows.map(({ name, scores }) => ({
        cells: [name, ...scores.map((score) => (score === undefined ? '' : shownScore(score, words)))],
      })),
    }),
    unavailable.length > 0 &&
      html`<ul>
        ${unavailable.map(([metric, reason]) => html`<li>${scoreTitle(metric)} is not there: ${reason}</li>`)}
      </ul>`,
  );
}

function publishedSection(run: BenchmarkRun, plots: Plots): Html {
  return section(
    'Beside published numbers',
    html`<p>${comparisonNote(run)}</p>`,
    html`<div class="cards">
      ${publishedSections(run).map((one, index) => publishedFigures(run, one, plots, `published-${index}`))}
    </div>`,
  );
}

function publishedFigures(run: BenchmarkRun, published: PublishedSection, plots: Plots, id: string): Html[] {
  const { unit } = BENCHMARK_WORDS[run.benchmark];
  const { title, columns, ours, rows } = published;
  const drawn = columns.flatMap(({ title: column, name, isMain = false }, index): { column: string; models: NamedValue[] }[] => {
    if (!isMain) return [];
    const own = ours[index] === undefined ? [] : [{ name: 'this run', value: ours[index], isMarked: true }];
    const models = rows.flatMap(({ model, scores, shown }) =>
      scores[name] === undefined ? [] : [{ name: model, value: scores[name], shown: shown[index]! }],
    );
    return [{ column, models: [...own, ...models] }];
  });
  return drawn.map(({ column, models }, index) =>
    figure({
      id: `${id}-${index}`,
      title: `${capitalized(title)}: ${column}`,
      drawing: plots.dotsDrawing(models, { labelledBy: `${id}-${index}`, axis: `${column} (${unit})` }),
      below: index === 0 && folded('All numbers', publishedTable(run, published)),
    }),
  );
}

function publishedTable(run: BenchmarkRun, { title, columns, ours, rows }: PublishedSection): Html {
  return table({
    caption: `Published, ${title}`,
    columns: ['model', 'trained', ...columns.map((column) => column.title), 'source'],
    words: ['source'],
    rows: [
      { cells: [run.model, '', ...ours.map((score) => score?.toFixed(2)), 'this run'], isOurs: true },
      ...rows.map(({ model, trainable, shown, source }) => ({ cells: [model, trainable, ...shown, source] })),
    ],
  });
}

function breakdownSection(run: BenchmarkRun, plots: Plots): HtmlValue {
  if (run.items.length === 0) return undefined;
  const { factor, unit, items } = BENCHMARK_WORDS[run.benchmark];
  const axis = `${scoreTitle(run.mainScore)} (${unit})`;
  return section(
    'Where the scores come from',
    html`<div class="cards">
      ${[
        figure({
          id: 'distribution',
          title: `Scores of single ${items}`,
          words: `How many ${items} have which score.`,
          drawing: plots.distributionDrawing(
            run.items.map(({ score }) => score * factor),
            { labelledBy: 'distribution', axis, items },
          ),
        }),
        ...breakdowns(run).map((breakdown, index) => breakdownFigure(run, breakdown, plots, `group-${index}`)),
      ]}
    </div>`,
  );
}

function breakdownFigure(run: BenchmarkRun, { title, rows, isMean }: Breakdown, plots: Plots, id: string): Html {
  const words = BENCHMARK_WORDS[run.benchmark];
  const isRecall = title === 'recall';
  const drawn = largestGroups(rows);
  return figure({
    id,
    title: isRecall ? 'Recall' : `By ${title}`,
    words: [
      drawn.length < rows.length && `The ${drawn.length} largest of ${rows.length} groups. `,
      isMean && `Means of the items' scores. `,
      !isRecall && 'The dashed line is the score of all.',
    ],
    drawing: plots.barsDrawing(
      drawn.map(({ name, score, count }) => ({ name, value: score * words.factor, ...(count === undefined ? {} : { count }) })),
      {
        labelledBy: id,
        axis: isRecall ? 'recall (%)' : `${scoreTitle(run.mainScore)} (${words.unit})`,
        items: words.items,
        ...(words.unit === '%' ? { end: 100 } : {}),
        ...(isRecall ? {} : { reference: (mainValue(run) ?? 0) * words.factor }),
      },
    ),
    below: folded(
      'All numbers',
      table({
        caption: isRecall ? 'Recall' : `By ${title}`,
        columns: [title, words.items, 'score'],
        rows: rows.map(({ name, count, score }) => ({ cells: [name, count?.toLocaleString('en'), shownScore(score, words)] })),
      }),
    ),
  });
}

async function examplesSection(run: BenchmarkRun, options: ExampleOptions): Promise<HtmlValue> {
  const { best, worst, random } = chooseExamples(run.items, options);
  if (best.length + random.length === 0) return undefined;
  const part = async (title: string, items: typeof best): Promise<HtmlValue> =>
    items.length > 0 &&
    html`<h3>${title}</h3>
      ${await exampleCards(run, items, options.imageUrl)}`;
  return section(
    'Examples',
    await part('The best', best),
    await part('The worst', worst),
    await part('Chosen by chance from the rest', random),
  );
}

function settingsSection({ model, date, annotations, settings = {}, versions }: BenchmarkRun): Html {
  return section(
    'Settings and versions',
    facts('Run', [
      ['model', model],
      ['date', dateWords(date)],
      ['annotations', annotations ?? 'not recorded'],
    ]),
    facts('Settings', flatEntries(settings)),
    facts('Versions', flatEntries(versions)),
  );
}
