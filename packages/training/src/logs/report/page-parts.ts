/** How the report looks; light or dark as the reader's system has it. */
export const STYLE: string = `
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #ffffff; --ink: #1d2126; --quiet: #5d646d; --rule: #e4e4e0; --training: #1f66d1; --evaluation: #b4490c; --bad: #c0182f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1b1e23; --ink: #e8e9eb; --quiet: #9aa2ad; --rule: #30353d; --training: #7fb2ff; --evaluation: #ffa66b; --bad: #ff7b86; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1480px; padding: 2.5rem clamp(1rem, 4vw, 3rem) 3rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; }
h1 { margin: 0; font-size: 1.7rem; font-weight: 650; letter-spacing: -0.015em; }
h2 { margin: 2.5rem 0 0.9rem; font-size: 1.05rem; font-weight: 600; }
h3 { margin: 0; font-size: 0.95rem; font-weight: 600; overflow-wrap: anywhere; }
header p { margin: 0.3rem 0 0; color: var(--quiet); }
.tiles { display: flex; flex-wrap: wrap; gap: 0.5rem 2.6rem; margin: 1.6rem 0 0; }
.tiles div { min-width: 6rem; }
dt { color: var(--quiet); font-size: 0.82rem; }
dd { margin: 0; font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
.controls { display: flex; flex-wrap: wrap; gap: 0.4rem 1.4rem; margin: 1.9rem 0 1rem; padding: 0; border: 0; color: var(--quiet); font-size: 0.88rem; }
.controls label { display: inline-flex; align-items: center; gap: 0.35rem; cursor: pointer; }
input { accent-color: var(--training); margin: 0; }
:focus-visible { outline: 2px solid var(--training); outline-offset: 2px; border-radius: 3px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); gap: 1rem; align-items: start; }
.chart { margin: 0; padding: 0.9rem 1rem 0.8rem; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; min-width: 0; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.1rem 0.9rem; margin-bottom: 0.4rem; }
figcaption output { margin-left: auto; min-height: 1.3em; color: var(--quiet); font-size: 0.82rem; }
.legend { font-size: 0.8rem; color: var(--quiet); display: inline-flex; gap: 0.8rem; }
.legend span::before { content: ""; display: inline-block; width: 1.1em; height: 0; margin-right: 0.4em; vertical-align: middle; border-top: 2.5px solid var(--training); }
.legend .key-evaluation::before { border-top-color: var(--evaluation); border-top-style: dashed; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .value { text-anchor: end; } svg .step, svg .none { text-anchor: middle; }
svg path { fill: none; }
.grid { stroke: var(--rule); } .axis, .tick { stroke: var(--quiet); stroke-opacity: 0.6; }
.raw { stroke: var(--training); stroke-opacity: 0.28; stroke-width: 1; }
.smooth { stroke: var(--training); stroke-width: 2; stroke-linejoin: round; }
.smooth-dot { fill: var(--training); }
.measured { stroke: var(--evaluation); stroke-width: 1.5; stroke-dasharray: 5 3; }
.dot { fill: var(--evaluation); stroke: var(--card); stroke-width: 1.2; }
.gap { stroke: var(--bad); stroke-width: 1.5; }
.cursor { stroke: var(--quiet); stroke-dasharray: 2 3; }
.log { display: none; }
body:has(#axis-log:checked) .linear { display: none; }
body:has(#axis-log:checked) .log { display: inline; }
body:not(:has(#show-raw:checked)) .raw { display: none; }
.words { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
details { max-height: 24rem; overflow: auto; margin-top: 0.5rem; font-size: 0.85rem; color: var(--quiet); }
summary { cursor: pointer; }
table { border-collapse: collapse; margin-top: 0.4rem; color: var(--ink); }
th, td { padding: 0.12rem 1.2rem 0.12rem 0; text-align: right; font-weight: 400; border-bottom: 1px solid var(--rule); }
thead th { color: var(--quiet); }
.facts th { text-align: left; color: var(--quiet); vertical-align: top; white-space: nowrap; } .facts td { text-align: left; overflow-wrap: anywhere; }
footer { margin-top: 2.5rem; color: var(--quiet); font-size: 0.82rem; }
@media print { .controls, details { display: none; } body { max-width: none; } .chart { break-inside: avoid; } }
`;

/** Shows the numbers under the pointer; the report is whole without it. */
export const SCRIPT: string = `
for (const figure of document.querySelectorAll('.chart')) {
  const points = JSON.parse(figure.dataset.points), last = Number(figure.dataset.last);
  const svg = figure.querySelector('svg'), cursor = svg.querySelector('.cursor'), output = figure.querySelector('output');
  const box = svg.viewBox.baseVal, left = 52, right = box.width - 14;
  const nearest = (list, step) => list.reduce((best, one) => Math.abs(one[0] - step) < Math.abs(best[0] - step) ? one : best, list[0]);
  svg.addEventListener('pointermove', (event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const step = Math.min(Math.max((place.x - left) / (right - left), 0), 1) * last;
    const found = Object.entries(points).filter(([, list]) => list.length > 0).map(([name, list]) => [name, nearest(list, step)]);
    if (found.length === 0) return;
    const x = left + (right - left) * found[0][1][0] / last;
    cursor.setAttribute('x1', x); cursor.setAttribute('x2', x); cursor.setAttribute('visibility', 'visible');
    output.textContent = found.map(([name, [at, value]]) => name + ' ' + value + ' at step ' + at.toLocaleString('en')).join(' · ');
  });
  svg.addEventListener('pointerleave', () => { cursor.setAttribute('visibility', 'hidden'); output.textContent = ''; });
}
`;
