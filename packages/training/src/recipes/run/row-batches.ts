import { DatasetError, InputError, type Random, type RunOptions, seededRandom } from '@blip2/core';
import { combineSeeds, type DatasetRecord, type RecordStream, type StreamPosition } from '@blip2/datasets';
import * as z from 'zod/mini';
import type { BatchSource, JsonValue } from '../../trainer/batch-source.ts';
import type { RowsOf } from './rows.ts';

/** A row and its image. */
export interface PlacedRow<Item, Row> {
  readonly item: Item;
  /** Rows that share it show one picture. */
  readonly picture: string;
  readonly row: Row;
}

/** How {@link rowBatches} makes batches. */
export interface RowBatchesOptions<Item, Row, Batch> {
  /** Endless. The source closes it. */
  readonly stream: RecordStream<Item>;
  readonly recordOf: (item: Item) => DatasetRecord;
  readonly rowsOf: RowsOf<Row>;
  /** Which picture an item shows; `undefined` for one that cannot be used and is passed over. @default the record's `imageKey` */
  readonly pictureOf?: (item: Item) => string | undefined;
  readonly batchSize: number;
  /** How many images a batch must have at least: hard negatives need two. @default 1 */
  readonly images?: number;
  readonly seed: number;
  readonly make: (
    rows: readonly PlacedRow<Item, Row>[],
    random: Random,
    options: Pick<RunOptions, 'abortSignal'>,
  ) => Promise<Batch>;
}

const count = z.int().check(z.gte(0));
const positionSchema = z.object({
  batches: count,
  /** Records that were drawn, and how many rows of the last one were used. */
  records: count,
  used: count,
  stream: z.record(z.string(), z.unknown()),
});

/** So many records in a row without any use mean that there are none. */
const MOST_USELESS = 10_000;

/**
 * Batches of rows that a stream of records gives. A record may have several rows, which may lie in two batches. What is drawn follows
 * from the seed and the numbers of record and batch.
 *
 * @throws {DatasetError} from `next`, when 10,000 records in a row give nothing.
 */
export function rowBatches<Item, Row, Batch>(options: RowBatchesOptions<Item, Row, Batch>): BatchSource<Batch> & AsyncDisposable {
  return new RowBatches(options);
}

type Settings = Pick<RunOptions, 'abortSignal'>;

class RowBatches<Item, Row, Batch> implements BatchSource<Batch>, AsyncDisposable {
  readonly #options: RowBatchesOptions<Item, Row, Batch>;
  #batches = 0;
  /** Drawn, the present one included. */
  #records = 0;
  /** Where the stream stood before the present record. */
  #before: StreamPosition;
  #present: readonly PlacedRow<Item, Row>[] = [];
  #used = 0;

  constructor(options: RowBatchesOptions<Item, Row, Batch>) {
    this.#options = options;
    this.#before = options.stream.position();
  }

  async next(settings: Settings): Promise<Batch> {
    const { batchSize, images = 1, seed, make, stream } = this.#options;
    const rows: PlacedRow<Item, Row>[] = [];
    while (rows.length < batchSize) rows.push(await this.#nextRow(settings));
    // A batch of one image has no wrong partners: its last row gives way.
    for (let tries = 0; new Set(rows.map(({ picture }) => picture)).size < images; tries++) {
      if (tries === MOST_USELESS) {
        throw new DatasetError(
          `${stream.name}: has one image, expected at least ${images}: negatives are drawn from the others. Add images.`,
          stream.name,
        );
      }
      rows[batchSize - 1] = await this.#nextRow(settings);
    }
    return make(rows, seededRandom(combineSeeds(seed, 2, this.#batches++)), settings);
  }

  /** Where a record is not used up, the stream goes back to before it. */
  position(): JsonValue {
    const isBetween = this.#used === this.#present.length;
    const stream = isBetween ? this.#options.stream.position() : this.#before;
    const records = isBetween ? this.#records : this.#records - 1;
    return { batches: this.#batches, records, used: isBetween ? 0 : this.#used, stream } as unknown as JsonValue;
  }

  async seek(position: JsonValue): Promise<void> {
    const { stream } = this.#options;
    const result = z.safeParse(positionSchema, position);
    if (!result.success) {
      throw new InputError(
        `seek: the position of ${stream.name} is ${JSON.stringify(position)}, expected one that position() gave. Resume with the data of the same run.`,
      );
    }
    await stream.seek(result.data.stream);
    this.#batches = result.data.batches;
    this.#records = result.data.records;
    this.#present = [];
    this.#used = 0;
    if (result.data.used === 0) return;
    await this.#draw({});
    this.#used = result.data.used;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.stream.close();
  }

  async #nextRow(settings: Settings): Promise<PlacedRow<Item, Row>> {
    const { name } = this.#options.stream;
    for (let useless = 0; this.#used === this.#present.length; useless++) {
      if (useless === MOST_USELESS) {
        throw new DatasetError(
          `${name}: ${MOST_USELESS} records in a row have nothing to learn from. Check texts and images.`,
          name,
        );
      }
      await this.#draw(settings);
    }
    return this.#present[this.#used++]!;
  }

  async #draw(settings: Settings): Promise<void> {
    const { stream, recordOf, rowsOf, seed, pictureOf = (one: Item) => recordOf(one).imageKey } = this.#options;
    const position = stream.position();
    const item = await stream.next(settings);
    if (item === undefined)
      throw new DatasetError(`${stream.name}: ended, expected endless records. Check the data.`, stream.name);
    this.#before = position;
    const record = recordOf(item);
    const picture = pictureOf(item);
    const rows = picture === undefined ? [] : rowsOf(record, seededRandom(combineSeeds(seed, 1, this.#records)));
    this.#records++;
    this.#present = rows.map((row) => ({ item, picture: picture!, row }));
    this.#used = 0;
  }
}
