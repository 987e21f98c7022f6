import { decodeImage } from '@blip2/image/node';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodePng } from './encode-png.ts';

test('what is encoded is decoded again, byte for byte', async () => {
  const image = fc
    .record({ width: fc.integer({ min: 1, max: 20 }), height: fc.integer({ min: 1, max: 20 }) })
    .chain(({ width, height }) =>
      fc.record({
        width: fc.constant(width),
        height: fc.constant(height),
        data: fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
      }),
    );
  await fc.assert(
    fc.asyncProperty(image, async (given) => {
      const { width, height, data } = await decodeImage(await encodePng(given));
      expect([width, height]).toEqual([given.width, given.height]);
      expect([...data]).toEqual([...given.data]);
    }),
    { numRuns: 40 },
  );
});
