import fc from 'fast-check';
import { parseHTML } from 'linkedom/worker';
import { expect, it } from 'vitest';
import { clipped, html, trustedHtml } from './html.ts';

it('escapes values, and nothing that is HTML already', () => {
  const inner = html`<b>${'<i>'}</b>`;
  expect(html`<p title="${'"&'}">${inner}${[inner, 1, ' & ']}${undefined}${false}${trustedHtml('<hr>')}</p>`.markup).toBe(
    '<p title="&quot;&amp;"><b>&lt;i&gt;</b><b>&lt;i&gt;</b>1 &amp; <hr></p>',
  );
});

it('whatever a text is, it is one text and one attribute', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const { document } = parseHTML(`<html><body>${html`<p title="${value}">${value}</p>`.markup}</body></html>`) as unknown as {
        document: Document;
      };
      expect(document.body.children).toHaveLength(1);
      const paragraph = document.body.children[0]!;
      expect(paragraph.children).toHaveLength(0);
      expect(paragraph.getAttribute('title')).toBe(clipped(value, Infinity));
      expect(paragraph.textContent).toBe(clipped(value, Infinity));
    }),
  );
});

it('shows what HTML cannot hold, and the beginning of what is long', () => {
  expect(html`${'a\u0000b\u001b[31m\ud800c\n'}`.markup).toBe('a\ufffdb\ufffd[31m\ufffdc\n');
  expect(clipped('word '.repeat(100_000), 9)).toBe('word word… (500,000 characters)');
  expect(clipped('😀😀', 3)).toBe('😀\ufffd… (4 characters)');
});
