/** One thing that was measured, of several experiments. */
interface Group {
  readonly title: string;
  readonly bars: readonly { readonly name: string; /** In percent, one a seed. */ readonly values: readonly number[] }[];
}

const [WIDTH, LEFT, RIGHT] = [760, 230, 20];
const ROW = 22;
const STYLE = `text { font: 13px system-ui, sans-serif; fill: #333; } .title { font-weight: 600; } .axis { stroke: #ccc; }
.mean { fill: #9ecae1; } .seed { fill: #08519c; }
@media (prefers-color-scheme: dark) { text { fill: #ddd; } .axis { stroke: #555; } .mean { fill: #2b6c99; } .seed { fill: #bfe0f5; } }`;

/** An SVG: a bar for each mean, a dot for each seed. */
export function plotGroups(groups: readonly Group[]): string {
  const place = (percent: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * percent) / 100;
  const parts: string[] = [];
  let y = 10;
  for (const { title, bars } of groups) {
    y += ROW;
    parts.push(`<text class="title" x="${LEFT}" y="${y}">${escape(title)}, %</text>`);
    const top = y + 6;
    for (const { name, values } of bars) {
      y += ROW;
      parts.push(
        `<text x="${LEFT - 8}" y="${y}" text-anchor="end">${escape(name)}</text>`,
        `<rect class="mean" x="${LEFT}" y="${y - 12}" width="${(place(mean(values)) - LEFT).toFixed(1)}" height="15"/>`,
        ...values.map((value) => `<circle class="seed" cx="${place(value).toFixed(1)}" cy="${y - 4.5}" r="3"/>`),
      );
    }
    for (const percent of [0, 25, 50, 75, 100]) {
      parts.push(
        `<line class="axis" x1="${place(percent)}" x2="${place(percent)}" y1="${top}" y2="${y + 6}"/>`,
        `<text x="${place(percent)}" y="${y + 20}" text-anchor="middle">${percent}</text>`,
      );
    }
    y += 28;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" width="${WIDTH}">
<style>${STYLE}</style>
${parts.join('\n')}
</svg>
`;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function escape(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}
