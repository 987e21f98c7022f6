import { openFileByteSource, openSafetensorsFile, writeSafetensorsFile } from '@blip2/checkpoints/node';
import { DatasetError, type Weight } from '@blip2/core';
import type { RetrievalSet } from '@blip2/eval';

/** A query's scores, for every candidate. */
type Row = Float32Array | Float64Array | Int32Array;

/** Scores of every image with every text, for each direction. */
export interface ScoreMatrices {
  /** `[images, texts]` */
  readonly imageToText: readonly Row[];
  /** `[texts, images]` */
  readonly textToImage: readonly Row[];
}

/** Rows and columns of a matrix. */
type Shape = readonly [rows: number, columns: number];

/**
 * The matrices `i2t` and `t2i` of a safetensors file, as exact as they are stored.
 *
 * @param all - What the annotations have.
 * @param chosen - The first images of `all`, which are to be scored; the file may be about these alone.
 * @throws {DatasetError} when a matrix is missing, has another shape, or a score is not a number.
 */
export async function readScoreMatrices(path: string, all: RetrievalSet, chosen: RetrievalSet): Promise<ScoreMatrices> {
  using file = await openSafetensorsFile(path);
  const sizes = [all, chosen].map(({ images, captions }) => ({ images: images.length, texts: captions.flat().length }));
  const matrix = async (name: string, axes: string, shapeOf: (size: (typeof sizes)[number]) => Shape): Promise<Row[]> => {
    const [full, wanted] = [shapeOf(sizes[0]!), shapeOf(sizes[1]!)];
    const expected = `${axes} = [${full.join(', ')}]`;
    const weight = file.get(name);
    if (weight === undefined)
      throw new DatasetError(
        `${path}: has no ${name} (it has ${file.names.join(', ') || 'nothing'}), expected ${name} ${expected}. Write both i2t and t2i.`,
        path,
      );
    const [rows, columns] = weight.shape;
    const isOf = (shape: Shape): boolean => weight.shape.length === 2 && rows === shape[0] && columns === shape[1];
    if (!isOf(full) && !isOf(wanted))
      throw new DatasetError(
        `${path}: ${name} is [${weight.shape.join(', ')}], expected ${expected} of the annotations. Score every image with every text, in their order.`,
        path,
      );
    const values = await valuesOf(weight);
    const found = Array.from({ length: wanted[0] }, (_, row) => values.subarray(row * columns!, row * columns! + wanted[1]));
    assertNumbers(`${path}: ${name}`, found, path);
    return found;
  };
  return {
    imageToText: await matrix('i2t', '[images, texts]', ({ images, texts }) => [images, texts]),
    textToImage: await matrix('t2i', '[texts, images]', ({ images, texts }) => [texts, images]),
  };
}

/** The values of a matrix. Weights are read in single precision, where scores that differ may become equal; so those in double are read here. */
async function valuesOf(weight: Weight): Promise<Row> {
  if (weight.dtype !== 'F64' || weight.location === undefined) return weight.read();
  const { file, byteOffset, byteLength } = weight.location;
  const source = await openFileByteSource(file);
  try {
    const bytes = await source.read(byteOffset, byteLength);
    const aligned = bytes.byteOffset % Float64Array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
    return new Float64Array(aligned.buffer, aligned.byteOffset, byteLength / Float64Array.BYTES_PER_ELEMENT);
  } finally {
    source.dispose();
  }
}

function assertNumbers(what: string, matrix: readonly Row[], path: string): void {
  for (const [row, scores] of matrix.entries())
    for (let column = 0; column < scores.length; column += 1)
      if (Number.isNaN(scores[column]))
        throw new DatasetError(
          `${what} [${row}, ${column}] is NaN, expected a number. Check the features that it was made of.`,
          path,
        );
}

/** Writes what {@link readScoreMatrices} reads. */
export async function writeScoreMatrices(path: string, { imageToText, textToImage }: ScoreMatrices): Promise<void> {
  const tensor = (name: string, rows: readonly Row[]) => {
    const shape = [rows.length, rows[0]!.length];
    const values = new Float32Array(shape[0]! * shape[1]!);
    for (const [index, row] of rows.entries()) values.set(row, index * shape[1]!);
    return { name, shape, values };
  };
  await writeSafetensorsFile(path, [tensor('i2t', imageToText), tensor('t2i', textToImage)], { metadata: {} });
}
