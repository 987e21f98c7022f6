import { groupItems, largestGroups, ordered } from './breakdowns.ts';
import type { ItemChange, RunComparison } from './compare-runs.ts';
import { card, type ExampleOptions, picture, references, text } from './example-cards.ts';
import { type Html, html, type HtmlValue } from './html.ts';
import { facts, figure, folded, page, section, table, tiles } from './page.ts';
import { share, signed } from './signed.ts';
import {
  BENCHMARK_WORDS,
  countWords,
  dateWords,
  flatEntries,
  scoredWords,
  scoreTable,
  scoreTitle,
  shownScore,
} from './run-scores.ts';

type Plots = typeof import('./plots.ts');

/**
 * A comparison as one page of HTML that needs nothing else, like `evaluationReport`: the difference with its interval, which items and
 * groups changed, all scores of both runs, and the largest improvements and regressions with both predictions.
 *
 * @param comparison - From `compareRuns`; its `improvements` and `regressions` are shown.
 * @throws {InputError} when `imageUrl` gives something else than the address of a picture.
 *
 * @example
 * await writeFile('comparison.html', await comparisonReport(compareRuns(before, after)));
 */
export async function comparisonReport(
  comparison: RunComparison,
  options: Pick<ExampleOptions, 'imageUrl'> = {},
): Promise<string> {
  const plots = await import('./plots.ts');
  const { first, second } = comparison;
  const words = BENCHMARK_WORDS[first.benchmark];
  return page({
    title: `${words.title}: ${first.model} and ${second.model}`,
    header: html`<h1>${words.title}: <bdi>${first.model}</bdi> and <bdi>${second.model}</bdi></h1>
      <p>Both scored: ${scoredWords(first)}. Differences are the second run's scores less the first's.</p>
      ${headline(comparison)}`,
    main: html`${differenceSection(comparison, plots)} ${groupsSection(comparison, plots)} ${scoresSection(comparison)}
    ${await changesSection('Largest improvements', comparison, comparison.improvements, options)}
    ${await changesSection('Largest regressions', comparison, comparison.regressions, options)} ${settingsSection(comparison)}`,
    footer: 'Written by @blip2/eval.',
  });
}

function headline({ first, difference, interval, confidence, better, equal, worse }: RunComparison): Html {
  const { factor, unit, items } = BENCHMARK_WORDS[first.benchmark];
  const [low, high] = interval.map((end) => signed(end * factor, 2));
  return tiles([
    [`${scoreTitle(first.mainScore)} (${unit})`, signed(difference * factor, 2)],
    [`${percentOf(confidence)} interval`, `${low} to ${high}`],
    [`${items} better`, share(better, 1)],
    [`${items} equal`, share(equal, 1)],
    [`${items} worse`, share(worse, 1)],
  ]);
}

const percentOf = (confidence: number): string => `${Number((100 * confidence).toFixed(3))} %`;

/** What the interval says, without more. */
function verdict({ first, second, interval: [low, high], confidence, samples, equal }: RunComparison): Html {
  const how = `Found by drawing the same items again ${samples.toLocaleString('en')} times, with repetition and with both scores of each: the interval holds ${percentOf(confidence)} of the differences. `;
  const limits =
    'It says nothing of other training runs, and is too narrow where items depend on each other, as questions about one image do.';
  if (equal === 1) return html`The interval is 0 alone: no item changed its score. ${how}`;
  if (low <= 0 && high >= 0)
    return html`The interval has 0 in it: with other items of the same kind, either run could come out ahead. ${how}${limits}`;
  return html`The interval does not have 0 in it: with other items of the same kind,
    <bdi>${(low > 0 ? second : first).model}</bdi> is to be expected ahead again. ${how}${limits}`;
}

function differenceSection(comparison: RunComparison, plots: Plots): Html {
  const { first, difference, interval, changes, equal } = comparison;
  const words = BENCHMARK_WORDS[first.benchmark];
  const { factor, unit, items } = words;
  const changed = changes.filter((change) => change.difference !== 0);
  const axis = `difference in ${scoreTitle(first.mainScore)} (${unit})`;
  const [low, high] = interval;
  return section(
    'How sure the difference is',
    html`<div class="cards">
      ${[
        figure({
          id: 'interval',
          title: 'Difference and interval',
          words: verdict(comparison),
          drawing: plots.intervalDrawing(
            { value: difference * factor, low: low * factor, high: high * factor },
            { labelledBy: 'interval', axis },
          ),
        }),
        changed.length > 0 &&
          figure({
            id: 'differences',
            title: `Differences of single ${items}`,
            words: [
              `How many ${items} changed by how much.`,
              equal > 0 && ` ${countWords(changes.length - changed.length, words)} did not change and are not drawn.`,
            ],
            drawing: plots.distributionDrawing(
              changed.map((change) => change.difference * factor),
              { labelledBy: 'differences', axis, items, isDifference: true },
            ),
          }),
      ]}
    </div>`,
  );
}

function groupsSection({ first, changes }: RunComparison, plots: Plots): HtmlValue {
  const { factor, unit, items } = BENCHMARK_WORDS[first.benchmark];
  const groupings = [...groupItems(changes.map((change) => ({ ...change, groups: change.first.groups })))];
  if (groupings.length === 0) return undefined;
  const figures = groupings.map(([title, groups], index) => {
    const rows = ordered(
      [...groups].map(([name, some]) => ({
        name,
        count: some.length,
        score: (factor * some.reduce((sum, { difference }) => sum + difference, 0)) / some.length,
      })),
    );
    const drawn = largestGroups(rows).map(({ score, ...row }) => ({ ...row, value: score, shown: signed(score, 2) }));
    return figure({
      id: `group-${index}`,
      title: `By ${title}`,
      words: drawn.length < rows.length && `The ${drawn.length} largest of ${rows.length} groups.`,
      drawing: plots.barsDrawing(drawn, {
        labelledBy: `group-${index}`,
        axis: `mean difference in ${scoreTitle(first.mainScore)} (${unit})`,
        items,
        isDifference: true,
      }),
      below: folded(
        'All numbers',
        table({
          caption: `Mean differences by ${title}`,
          columns: [title, items, 'difference'],
          rows: rows.map(({ name, count, score }) => ({ cells: [name, count.toLocaleString('en'), signed(score, 2)] })),
        }),
      ),
    });
  });
  return section('Where it changed', html`<div class="cards">${figures}</div>`);
}

/** All scores of both runs; those that are no means over items have no interval. */
function scoresSection({ first, second }: RunComparison): Html {
  const words = BENCHMARK_WORDS[first.benchmark];
  const [before, after] = [scoreTable(first), scoreTable(second)];
  const rows = before.rows.flatMap(({ name, scores }) =>
    before.columns.flatMap((column, index) => {
      const other = after.rows.find((row) => row.name === name)?.scores[after.columns.indexOf(column)];
      const score = scores[index];
      if (score === undefined || other === undefined) return [];
      const title = before.rows.length > 1 ? `${column}, ${name}` : column;
      return [{ cells: [title, shownScore(score, words), shownScore(other, words), signed((other - score) * words.factor, 2)] }];
    }),
  );
  return section(
    'All scores',
    table({ caption: `Scores (${words.unit}) of both runs`, columns: ['score', first.model, second.model, 'difference'], rows }),
  );
}

async function changesSection(
  title: string,
  { first }: RunComparison,
  changes: readonly ItemChange[],
  { imageUrl }: Pick<ExampleOptions, 'imageUrl'>,
): Promise<HtmlValue> {
  if (changes.length === 0) return undefined;
  const { factor } = BENCHMARK_WORDS[first.benchmark];
  const said = ({ prediction, score }: ItemChange['first']): Html =>
    html`<span class="said">${text(prediction)}</span> (${(score * factor).toFixed(1)})`;
  const cards = await Promise.all(
    changes.map(async (change) =>
      card(change.second, await picture(change.second, imageUrl), [
        ['first run', said(change.first)],
        ['second run', said(change.second)],
        ...references(change.second),
        ['difference', signed(change.difference * factor, 1)],
      ]),
    ),
  );
  return section(
    title,
    html`<ul class="examples">
      ${cards}
    </ul>`,
  );
}

function settingsSection({ first, second, samples, seed, confidence }: RunComparison): Html {
  const settings = [first, second].map((run) => [
    ['model', run.model] as const,
    ['date', dateWords(run.date)] as const,
    ['annotations', run.annotations ?? 'not recorded'] as const,
    ...flatEntries(run.settings ?? {}),
    ...flatEntries(run.versions),
  ]);
  return section(
    'Settings and versions',
    facts('First run', settings[0]!),
    facts('Second run', settings[1]!),
    facts('Interval', [
      ['samples', samples.toLocaleString('en')],
      ['seed', String(seed)],
      ['confidence', percentOf(confidence)],
    ]),
  );
}
