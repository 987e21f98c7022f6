import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';
import type { RgbImage } from '@blip2/image';

const compress = promisify(deflate);

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const FILTER_SUB = 1;

/**
 * An image as a PNG file of 8-bit RGB. Compression runs on Node's thread pool.
 *
 * @param image - Read until the promise settles.
 * @returns the file's bytes, the same for the same pixels and version of zlib.
 *
 * Source: PNG specification (W3C, third edition), 5 and 9.2: each row is stored as differences to the pixel on the left.
 */
export async function encodePng({ width, height, data }: RgbImage): Promise<Uint8Array> {
  const rowBytes = width * 3;
  const rows = new Uint8Array(height * (rowBytes + 1));
  for (let y = 0; y < height; y++) {
    const from = y * rowBytes;
    const to = y * (rowBytes + 1);
    rows[to] = FILTER_SUB;
    for (let x = 0; x < rowBytes; x++) rows[to + 1 + x] = data[from + x]! - (x < 3 ? 0 : data[from + x - 3]!);
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB; the usual compression and filters, not interlaced
  const pixels = await compress(rows, { level: 6 });
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', new Uint8Array(0))]);
}

function chunk(type: string, content: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(content.length + 12);
  bytes.writeUInt32BE(content.length, 0);
  bytes.write(type, 4, 'latin1');
  bytes.set(content, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, content.length + 8)), content.length + 8);
  return bytes;
}
