import { CheckpointError } from '@blip2/core';

/** What a T5 tokenizer needs of a SentencePiece model file. */
export interface SentencePieceModel {
  /** For messages. */
  readonly file: string;
  /** Pieces and their log-probabilities, by id. */
  readonly pieces: readonly (readonly [string, number])[];
  readonly unknownId: number;
  /** Source: `normalizer_spec.precompiled_charsmap`. */
  readonly charsmap: Uint8Array | undefined;
}

/** Numbers of `sentencepiece_model.proto`. */
const FIELDS = { pieces: 1, trainer: 2, normalizer: 3, piece: 1, score: 2, type: 3, modelType: 3, charsmap: 2 } as const;
const UNIGRAM = 1;
const UNKNOWN_PIECE = 2;
const BYTE_PIECE = 6;

/**
 * Reads `spiece.model`, a protocol buffer.
 *
 * @throws {CheckpointError} when the bytes are none, or the model is not a unigram model.
 * Source: `sentencepiece_model.proto` of google/sentencepiece.
 */
export function readSentencePieceModel(bytes: Uint8Array, file: string): SentencePieceModel {
  const refuse = (found: string): never => {
    const expected = "a SentencePiece unigram model, as T5's";
    throw new CheckpointError(`${file}: found ${found}, expected ${expected}. Download the file again.`, file);
  };
  const pieces: [string, number][] = [];
  let unknownId: number | undefined;
  let charsmap: Uint8Array | undefined;
  let modelType = UNIGRAM;
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for (const { field, value } of readMessage(bytes, refuse)) {
    if (!(value instanceof Uint8Array)) continue;
    const fields = new Map(Array.from(readMessage(value, refuse), (entry) => [entry.field, entry.value]));
    if (field === FIELDS.pieces) {
      const [piece, score, type] = [fields.get(FIELDS.piece), fields.get(FIELDS.score), fields.get(FIELDS.type)];
      if (!(piece instanceof Uint8Array)) return refuse('a piece without text');
      if (type === BYTE_PIECE) return refuse('byte pieces');
      if (type === UNKNOWN_PIECE) unknownId = pieces.length;
      pieces.push([decoder.decode(piece), typeof score === 'number' ? score : 0]);
    } else if (field === FIELDS.trainer) {
      modelType = (fields.get(FIELDS.modelType) as number | undefined) ?? UNIGRAM;
    } else if (field === FIELDS.normalizer) {
      const map = fields.get(FIELDS.charsmap);
      if (map instanceof Uint8Array && map.length > 0) charsmap = map;
    }
  }
  if (modelType !== UNIGRAM) return refuse(`model type ${modelType}`);
  if (unknownId === undefined) return refuse(`${pieces.length} pieces, none of them the unknown one`);
  return { file, pieces, unknownId, charsmap };
}

interface MessageField {
  readonly field: number;
  /** Varints and floats as numbers; strings, bytes and messages as bytes. */
  readonly value: number | Uint8Array;
}

/** The fields of a protocol buffer message, in order. 64-bit numbers are skipped: none is needed. */
function* readMessage(bytes: Uint8Array, refuse: (found: string) => never): Generator<MessageField> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined || scale > 2 ** 63) return refuse(`a broken number at byte ${at}`);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, wireType] = [Math.floor(key / 8), key % 8];
    if (wireType === 0) {
      yield { field, value: varint() };
      continue;
    }
    const length = wireType === 2 ? varint() : { 1: 8, 5: 4 }[wireType];
    if (length === undefined || at + length > bytes.length) return refuse(`a field that ends beyond the file at byte ${at}`);
    if (wireType === 2) yield { field, value: bytes.subarray(at, at + length) };
    if (wireType === 5) yield { field, value: view.getFloat32(at, true) };
    at += length;
  }
}
