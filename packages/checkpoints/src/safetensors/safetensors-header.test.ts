import { CheckpointError } from '@blip2/core';
import { expect, test } from 'vitest';
import { byteSourceFromBytes } from '../bytes/byte-source.ts';
import { MAX_HEADER_BYTES, readSafetensorsHeader } from './safetensors-header.ts';

const encoder = new TextEncoder();

/** A file with any header text, length prefix and data. */
function file(header: string | Uint8Array, dataBytes = 0, announced?: bigint): Uint8Array {
  const text = typeof header === 'string' ? encoder.encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, announced ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

/** A header with one tensor `w`, two float32 values in eight bytes of data, and some fields changed. */
function oneTensor(fields: Record<string, unknown>, dataBytes = 8): Uint8Array {
  return file(JSON.stringify({ w: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields } }), dataBytes);
}

async function failure(bytes: Uint8Array): Promise<string> {
  const error: unknown = await readSafetensorsHeader(byteSourceFromBytes('model.safetensors', bytes)).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as CheckpointError).file).toBe('model.safetensors');
  return (error as CheckpointError).message;
}

const HOSTILE: Readonly<Record<string, () => Uint8Array>> = {
  'an empty file': () => new Uint8Array(0),
  'seven bytes': () => new Uint8Array(7),
  'a header longer than the file': () => file('{}', 0, 3n),
  'a header longer than any should be': () => file('{}', 0, BigInt(MAX_HEADER_BYTES) + 1n),
  'a header length of 2^64 − 1': () => file('{}', 0, 2n ** 64n - 1n),
  'a Git LFS pointer': () => encoder.encode('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n'),
  'a header that is not UTF-8': () => file(Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)),
  'a header that is a list': () => file('[]'),
  'an empty header': () => file(''),
  'a header that is a web page': () => file('<!doctype html><html></html>'),
  'broken JSON': () => file('{"w":{"dtype":"F32",}}'),
  'JSON cut off': () => file('{"w":{"dtype":"F3'),
  'deep nesting': () => file(`{"w":${'['.repeat(50_000)}`),
  'a tensor twice': () => {
    const entry = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
    return file(`{"w":${entry},"w":${entry}}`, 1);
  },
  'a tensor twice, once escaped': () => {
    const entry = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
    return file(`{"w":${entry},"\\u0077":${entry}}`, 1);
  },
  'a field twice': () => file('{"w":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
  'a prototype': () => file('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
  'a constructor': () => file('{"constructor":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
  'a dtype from the prototype': () => oneTensor({ dtype: 'toString' }),
  'an unknown dtype': () => oneTensor({ dtype: 'F8_E4M3' }),
  'a missing dtype': () => oneTensor({ dtype: undefined }),
  'a dtype that is a number': () => oneTensor({ dtype: 32 }),
  'a missing shape': () => oneTensor({ shape: undefined }),
  'a negative size': () => oneTensor({ shape: [-2] }),
  'a fractional size': () => oneTensor({ shape: [1.5] }),
  'a size beyond 2^53': () => oneTensor({ shape: [2 ** 53] }),
  'sizes whose product is beyond 2^53': () => oneTensor({ shape: [2 ** 30, 2 ** 30] }),
  'sizes whose product overflows before a zero': () => oneTensor({ shape: [2 ** 40, 2 ** 40, 0], data_offsets: [0, 0] }, 0),
  'three offsets': () => oneTensor({ data_offsets: [0, 4, 8] }),
  'a negative offset': () => oneTensor({ data_offsets: [-8, 0] }),
  'offsets the wrong way round': () => oneTensor({ data_offsets: [8, 0] }),
  'an end outside the file': () => oneTensor({ data_offsets: [0, 8] }, 4),
  'too few bytes for the shape': () => oneTensor({ data_offsets: [0, 4] }, 4),
  'too many bytes for the shape': () => oneTensor({ data_offsets: [0, 12] }, 12),
  'an entry that is a list': () => file('{"w":[]}'),
  'an entry that is null': () => file('{"w":null}'),
  'metadata that is a list': () => file('{"__metadata__":[]}'),
  'metadata with a number': () => file('{"__metadata__":{"step":7}}'),
  'overlapping tensors': () =>
    file(
      JSON.stringify({
        a: { dtype: 'U8', shape: [4], data_offsets: [0, 4] },
        b: { dtype: 'U8', shape: [4], data_offsets: [3, 7] },
      }),
      7,
    ),
  'two tensors on the same bytes': () =>
    file(
      JSON.stringify({
        a: { dtype: 'U8', shape: [4], data_offsets: [0, 4] },
        b: { dtype: 'U8', shape: [4], data_offsets: [0, 4] },
      }),
      4,
    ),
  'a hole between tensors': () =>
    file(
      JSON.stringify({
        a: { dtype: 'U8', shape: [4], data_offsets: [0, 4] },
        b: { dtype: 'U8', shape: [4], data_offsets: [6, 10] },
      }),
      10,
    ),
  'a hole before the first tensor': () => oneTensor({ data_offsets: [4, 12] }, 12),
  'bytes after the last tensor': () => oneTensor({}, 9),
  'data without tensors': () => file('{}', 1),
  'control characters in a name': () => file(JSON.stringify({ ['a\u0007\n']: { dtype: 'F9', shape: [], data_offsets: [0, 0] } })),
};

test('each hostile file is refused with one message that says what is wrong and what to do', async () => {
  const messages = await Promise.all(Object.entries(HOSTILE).map(async ([kind, make]) => [kind, await failure(make())]));
  expect(Object.fromEntries(messages)).toMatchInlineSnapshot(`
    {
      "JSON cut off": "model.safetensors: not a valid safetensors file: the header is broken JSON: found '\\"F3' at line 1, column 15, expected a value. The file is damaged or was not copied to its end; fetch it again.",
      "a Git LFS pointer": "model.safetensors: not a valid safetensors file: the header would have 2336927755350992246 bytes, more than the limit of 100000000. Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.",
      "a constructor": "model.safetensors: not a valid safetensors file: a tensor has the forbidden name 'constructor'. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a dtype from the prototype": "model.safetensors: not a valid safetensors file: tensor 'w' has dtype 'toString', expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL. Convert the checkpoint to one of these, for example with save_pretrained after .to(torch.float16).",
      "a dtype that is a number": "model.safetensors: not a valid safetensors file: tensor 'w' has dtype 32, expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL. Convert the checkpoint to one of these, for example with save_pretrained after .to(torch.float16).",
      "a field twice": "model.safetensors: not a valid safetensors file: the header has the key 'dtype' a second time at line 1, column 20. The file is damaged or was not copied to its end; fetch it again.",
      "a fractional size": "model.safetensors: not a valid safetensors file: tensor 'w' has shape [1.5], expected a list of whole numbers, 0 or more. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a header length of 2^64 − 1": "model.safetensors: not a valid safetensors file: the header would have 18446744073709551615 bytes, more than the limit of 100000000. Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.",
      "a header longer than any should be": "model.safetensors: not a valid safetensors file: the header would have 100000001 bytes, more than the limit of 100000000. Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.",
      "a header longer than the file": "model.safetensors: not a valid safetensors file: the header would have 3 bytes, but only 2 follow its length. The file is damaged or was not copied to its end; fetch it again.",
      "a header that is a list": "model.safetensors: not a valid safetensors file: the header begins with '[]', expected '{'. Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.",
      "a header that is a web page": "model.safetensors: not a valid safetensors file: the header begins with '<!doctype ht', expected '{'. Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.",
      "a header that is not UTF-8": "model.safetensors: not a valid safetensors file: the header is not UTF-8 text. Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.",
      "a hole before the first tensor": "model.safetensors: not a valid safetensors file: 4 bytes between the header and 'w' belong to no tensor. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a hole between tensors": "model.safetensors: not a valid safetensors file: 2 bytes between 'a' and 'b' belong to no tensor. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a missing dtype": "model.safetensors: not a valid safetensors file: tensor 'w' has dtype missing, expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL. Convert the checkpoint to one of these, for example with save_pretrained after .to(torch.float16).",
      "a missing shape": "model.safetensors: not a valid safetensors file: tensor 'w' has shape missing, expected a list of whole numbers, 0 or more. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a negative offset": "model.safetensors: not a valid safetensors file: tensor 'w' has data_offsets [-8,0], expected two whole numbers, 0 or more. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a negative size": "model.safetensors: not a valid safetensors file: tensor 'w' has shape [-2], expected a list of whole numbers, 0 or more. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a prototype": "model.safetensors: not a valid safetensors file: a tensor has the forbidden name '__proto__'. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a size beyond 2^53": "model.safetensors: not a valid safetensors file: tensor 'w' has shape [9007199254740992], expected a list of whole numbers, 0 or more. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "a tensor twice": "model.safetensors: not a valid safetensors file: the header has the key 'w' a second time at line 1, column 54. The file is damaged or was not copied to its end; fetch it again.",
      "a tensor twice, once escaped": "model.safetensors: not a valid safetensors file: the header has the key 'w' a second time at line 1, column 54. The file is damaged or was not copied to its end; fetch it again.",
      "an empty file": "model.safetensors: not a valid safetensors file: the file has 0 bytes, but the header's length alone takes 8. The file is damaged or was not copied to its end; fetch it again.",
      "an empty header": "model.safetensors: not a valid safetensors file: the header begins with '', expected '{'. Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.",
      "an end outside the file": "model.safetensors: not a valid safetensors file: tensor 'w' ends at byte 8 of the data, but the file has only 4 bytes of data. The file is damaged or was not copied to its end; fetch it again.",
      "an entry that is a list": "model.safetensors: not a valid safetensors file: tensor 'w' is [], expected an object. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "an entry that is null": "model.safetensors: not a valid safetensors file: tensor 'w' is null, expected an object. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "an unknown dtype": "model.safetensors: not a valid safetensors file: tensor 'w' has dtype 'F8_E4M3', expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL. Convert the checkpoint to one of these, for example with save_pretrained after .to(torch.float16).",
      "broken JSON": "model.safetensors: not a valid safetensors file: the header is broken JSON: found '}}' at line 1, column 21, expected a quoted key. The file is damaged or was not copied to its end; fetch it again.",
      "bytes after the last tensor": "model.safetensors: not a valid safetensors file: 1 bytes after the last tensor belong to none. The file is damaged or two files were joined; fetch it again.",
      "control characters in a name": "model.safetensors: not a valid safetensors file: tensor 'a\\u0007\\n' has dtype 'F9', expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL. Convert the checkpoint to one of these, for example with save_pretrained after .to(torch.float16).",
      "data without tensors": "model.safetensors: not a valid safetensors file: 1 bytes after the last tensor belong to none. The file is damaged or two files were joined; fetch it again.",
      "deep nesting": "model.safetensors: not a valid safetensors file: the header is broken JSON: found the end of the text at line 1, column 50006, expected a value or ']'. The file is damaged or was not copied to its end; fetch it again.",
      "metadata that is a list": "model.safetensors: not a valid safetensors file: __metadata__ is [], expected an object of strings. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "metadata with a number": "model.safetensors: not a valid safetensors file: __metadata__.step is 7, expected a string. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "offsets the wrong way round": "model.safetensors: not a valid safetensors file: tensor 'w' begins at byte 8 of the data and ends before that, at 0. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "overlapping tensors": "model.safetensors: not a valid safetensors file: tensors 'a' and 'b' overlap by 1 bytes. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "seven bytes": "model.safetensors: not a valid safetensors file: the file has 7 bytes, but the header's length alone takes 8. The file is damaged or was not copied to its end; fetch it again.",
      "sizes whose product is beyond 2^53": "model.safetensors: not a valid safetensors file: tensor 'w' has shape [1073741824,1073741824], which is more than 2^53 bytes. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "sizes whose product overflows before a zero": "model.safetensors: not a valid safetensors file: tensor 'w' has shape [1099511627776,1099511627776,0], which is more than 2^53 bytes. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "three offsets": "model.safetensors: not a valid safetensors file: tensor 'w' has data_offsets [0,4,8], expected two whole numbers, 0 or more. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "too few bytes for the shape": "model.safetensors: not a valid safetensors file: tensor 'w' has 4 bytes, but F32 [2] needs 8. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "too many bytes for the shape": "model.safetensors: not a valid safetensors file: tensor 'w' has 12 bytes, but F32 [2] needs 8. The program that wrote the file made a mistake; write it again with a current safetensors library.",
      "two tensors on the same bytes": "model.safetensors: not a valid safetensors file: tensors 'a' and 'b' overlap by 4 bytes. The program that wrote the file made a mistake; write it again with a current safetensors library.",
    }
  `);
});

test('a good header is read, padded or not', async () => {
  const entry = { dtype: 'F32', shape: [1, 2], data_offsets: [0, 8] };
  const text = JSON.stringify({
    __metadata__: { format: 'pt' },
    w: entry,
    extra: { ...entry, shape: [], dtype: 'U8', data_offsets: [8, 9], note: 1 },
  });
  const { metadata, tensors } = await readSafetensorsHeader(byteSourceFromBytes('f', file(`${text}   `, 9)));
  const dataOffset = 8 + text.length + 3;
  expect([...metadata]).toEqual([['format', 'pt']]);
  expect([...tensors]).toEqual([
    ['w', { dtype: 'F32', shape: [1, 2], byteOffset: dataOffset, byteLength: 8 }],
    ['extra', { dtype: 'U8', shape: [], byteOffset: dataOffset + 8, byteLength: 1 }],
  ]);
});

test('tensors without elements may lie anywhere on a border', async () => {
  const tensors = {
    a: { dtype: 'F32', shape: [0, 3], data_offsets: [0, 0] },
    b: { dtype: 'U8', shape: [2], data_offsets: [0, 2] },
    c: { dtype: 'I64', shape: [2, 0], data_offsets: [2, 2] },
  };
  const header = await readSafetensorsHeader(byteSourceFromBytes('f', file(JSON.stringify(tensors), 2)));
  expect([...header.tensors.keys()]).toEqual(['a', 'b', 'c']);
});

test('no cut of a good file, and no change of one byte of its header, does harm', async () => {
  const good = oneTensor({});
  for (let length = 0; length < good.length; length++) await failure(good.slice(0, length));
  for (let index = 0; index < good.length - 8; index++) {
    const changed = good.slice();
    changed[index] = changed[index]! ^ 0x15;
    const source = byteSourceFromBytes('model.safetensors', changed);
    await readSafetensorsHeader(source).catch((cause: unknown) => expect(cause).toBeInstanceOf(CheckpointError));
  }
});

test('a header of 5,000 tensors is checked in well under a second', async () => {
  const entries = Array.from({ length: 5000 }, (_, index) => [
    `language_model.model.decoder.layers.${index}.fc1.weight`,
    { dtype: 'U8', shape: [1], data_offsets: [index, index + 1] },
  ]);
  const bytes = file(JSON.stringify(Object.fromEntries(entries)), 5000);
  const begin = performance.now();
  const { tensors } = await readSafetensorsHeader(byteSourceFromBytes('f', bytes));
  expect(tensors.size).toBe(5000);
  expect(performance.now() - begin).toBeLessThan(1000);
});
