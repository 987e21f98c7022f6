import { crc32, deflateSync } from 'node:zlib';
import type { RgbImage } from '@blip2/image';

/** A PNG file of 8-bit RGB, without filters. */
export function encodePng({ width, height, data }: RgbImage): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width * 3, (y + 1) * width * 3), y * (1 + width * 3) + 1);
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', new Uint8Array())]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const bytes = Buffer.alloc(typed.length + 8);
  bytes.writeUInt32BE(data.length, 0);
  bytes.set(typed, 4);
  bytes.writeUInt32BE(crc32(typed), typed.length + 4);
  return bytes;
}

/** A picture of which no two numbers give the same. */
export function picture(number: number, width = 12, height = 9): RgbImage {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, index) => (index * 7 + number * 31 + ((index * number) >> 3)) % 256,
  );
  return { width, height, data };
}
