import { DatasetError, InputError, type RunOptions } from '@blip2/core';
import { BrokenRows, type DatasetRecord, type RecordStream, type StreamPosition } from '@blip2/datasets';
import * as z from 'zod/mini';

type Settings = Pick<RunOptions, 'abortSignal'>;

/** What a stream does itself; the rest follows. */
type StreamParts<Row> = Pick<RecordStream<Row>, 'name' | 'next' | 'position' | 'seek' | 'close'>;

function streamOf<Row>(parts: StreamParts<Row>): RecordStream<Row> {
  return {
    ...parts,
    [Symbol.asyncDispose]: parts.close,
    async *[Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined> {
      for (let row = await parts.next(); row !== undefined; row = await parts.next()) yield row;
    },
  };
}

/** A stream that is read once, from its beginning to its end: it has no positions to return to. */
export function forwardStream<Row>(name: string, next: RecordStream<Row>['next'], close: () => Promise<void>): RecordStream<Row> {
  return streamOf({ name, next, close, position: () => ({}), seek: async () => undefined });
}

/** Each row of a stream as another one; positions are those of the stream. */
export function mappedStream<From, To>(stream: RecordStream<From>, map: (row: From) => To): RecordStream<To> {
  return streamOf<To>({
    name: stream.name,
    async next(options) {
      const row = await stream.next(options);
      return row === undefined ? undefined : map(row);
    },
    position: () => stream.position(),
    seek: (position) => stream.seek(position),
    close: () => stream.close(),
  });
}

/** A record and the content of its image. */
export interface PlacedRecord {
  readonly record: DatasetRecord;
  /** Nothing where the image cannot be used. */
  readonly picture: string | undefined;
}

/** How {@link placedRecords} knows pictures. */
export interface PlacedRecordsOptions {
  readonly pictureOf: (record: DatasetRecord, settings: Settings) => Promise<string | undefined>;
  readonly maxBrokenShare: number;
  /** Records of an epoch, where they were counted. */
  readonly epochRows: number | undefined;
}

const count = z.int().check(z.gte(0));
const positionSchema = z.object({ rows: count, broken: count, stream: z.record(z.string(), z.unknown()) });

/** The records of a stream with their pictures. Those that are broken, such as samples of shards, are passed over. */
export function placedRecords(stream: RecordStream, options: PlacedRecordsOptions): RecordStream<PlacedRecord> {
  const { pictureOf, maxBrokenShare: maxShare, epochRows } = options;
  const broken = new BrokenRows({ where: stream.name, what: 'records', maxShare, epochRows });
  let rows = 0;
  return streamOf({
    name: stream.name,
    async next(settings = {}) {
      for (;;) {
        broken.assertFew(rows);
        let record: DatasetRecord | undefined;
        try {
          record = await stream.next(settings);
        } catch (cause) {
          if (!DatasetError.isInstance(cause)) throw cause;
          broken.add({ key: undefined, index: rows++, cause });
          continue;
        }
        rows++;
        return record === undefined ? undefined : { record, picture: await pictureOf(record, settings) };
      }
    },
    position: () => ({ rows, broken: broken.count, stream: stream.position() }),
    async seek(position: StreamPosition) {
      const result = z.safeParse(positionSchema, position);
      if (!result.success) {
        throw new InputError(
          `seek: the position of ${stream.name} is ${JSON.stringify(position)}, expected one that position() gave. Resume with the data of the same run.`,
        );
      }
      await stream.seek(result.data.stream);
      ({ rows } = result.data);
      broken.reset(result.data.broken);
    },
    close: () => stream.close(),
  });
}
