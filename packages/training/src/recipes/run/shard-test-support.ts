import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Images with a caption each, as a tar file; a sample can lack its image.
 *
 * Source: POSIX ustar.
 */
export async function writeShard(path: string, images: readonly (Uint8Array | 'no image')[]): Promise<string> {
  const members = images.flatMap((image, index) => [
    ...(image === 'no image' ? [] : [member(`${index}.png`, image)]),
    member(`${index}.txt`, Buffer.from(`picture ${index}`)),
  ]);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, Buffer.concat([...members, Buffer.alloc(1024)]));
  return path;
}

function member(name: string, content: Uint8Array): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0'.padEnd(8), 100);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        0', 148);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
