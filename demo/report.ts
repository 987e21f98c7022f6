import { readFileSync } from 'node:fs';
import { type DemoScene, imagePath } from './scenes.ts';

/** An image and what the model says about it. */
export interface SeenScene {
  readonly scene: DemoScene;
  readonly caption: string;
  /** Whether the caption names every object and says nothing wrong. */
  readonly isTrue: boolean;
  readonly answers: readonly { readonly text: string; readonly answer: string; readonly given: string }[];
  /** The image that a search for the scene's own caption finds first. */
  readonly found: string;
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); gap: 1.5rem; }
article { display: grid; grid-template-columns: 11rem 1fr; gap: 1rem; border: 1px solid #8884; border-radius: .75rem; padding: 1rem; }
img { width: 100%; border-radius: .5rem; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
dl { margin: 0; font-size: .9rem; } dt { opacity: .75; } dd { margin: 0 0 .4rem; font-weight: 600; }
.wrong { color: #c0392b; }
@media (max-width: 36rem) { main, article { grid-template-columns: 1fr; } }`;

/** One page with everything in it. */
export function reportPage(seen: readonly SeenScene[], summary: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>blip2.js demo</title>
<style>${STYLE}</style>
<h1>What the small model sees</h1>
<p>${escape(summary)}. The model comes with the package, ran on this machine, and has never met these images.</p>
<main>
${seen.map(card).join('\n')}
</main>
</html>
`;
}

function card({ scene, caption, isTrue, answers, found }: SeenScene): string {
  const image = readFileSync(imagePath(scene)).toString('base64');
  const rows = answers.map(({ text, given, answer }) => row(text, given, given === answer ? undefined : answer));
  const searched = row(`search: ${scene.caption}`, found, found === scene.file ? undefined : scene.file);
  return `<article>
<div><img src="data:image/png;base64,${image}" alt="${escape(scene.caption)}">${escape(scene.file)}</div>
<div><h2${isTrue ? '' : ' class="wrong"'}>${escape(caption)}</h2><dl>${rows.join('')}${searched}</dl></div>
</article>`;
}

function row(asked: string, given: string, instead: string | undefined): string {
  const said = instead === undefined ? escape(given) : `<span class="wrong">${escape(given)}</span>, not ${escape(instead)}`;
  return `<dt>${escape(asked)}</dt><dd>${said}</dd>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
