import { type DecodingSession, DisposedError, InputError, type RunOptions } from '@blip2/core';
import type { Tensor2D } from '@tensorflow/tfjs-core';

/** What a search wants to know of a session. */
export interface SessionFacts {
  readonly promptIds: readonly (readonly number[])[];
  readonly endTokenIds: readonly number[];
  readonly padTokenId: number;
  readonly usableVocabSize: number;
  readonly maxNewTokens: number;
}

/** Only what stops a pass. */
export type PassOptions = Pick<RunOptions, 'abortSignal'>;

/**
 * The bookkeeping of a decoding session: order of calls, number of rows, end of life. A pass that fails or is aborted
 * ends the session, because its caches would be half written.
 */
export abstract class CachedSession implements DecodingSession {
  readonly promptIds: readonly (readonly number[])[];
  readonly endTokenIds: readonly number[];
  readonly padTokenId: number;
  readonly usableVocabSize: number;
  readonly maxNewTokens: number;
  #rows: number;
  #stage: 'new' | 'running' | 'ready' | 'disposed' = 'new';

  constructor(facts: SessionFacts) {
    this.promptIds = facts.promptIds;
    this.endTokenIds = facts.endTokenIds;
    this.padTokenId = facts.padTokenId;
    this.usableVocabSize = facts.usableVocabSize;
    this.maxNewTokens = facts.maxNewTokens;
    this.#rows = facts.promptIds.length;
  }

  get rows(): number {
    return this.#rows;
  }

  start(options: RunOptions = {}): Promise<Tensor2D> {
    this.#assertStage(
      'new',
      'start',
      'start was called before; a session runs its prompt once. Call step, or start another session.',
    );
    return this.#run(() => this.runPrompt(options));
  }

  step(tokenIds: readonly number[], options: RunOptions = {}): Promise<Tensor2D> {
    this.#assertStage('ready', 'step', 'the prompt has not been run. Call start first, and wait for one call before the next.');
    if (tokenIds.length !== this.#rows) {
      throw new InputError(`step: got ${tokenIds.length} tokens for ${this.#rows} rows. Pass one token a row.`);
    }
    return this.#run(() => this.runTokens(tokenIds, options));
  }

  reorder(rows: readonly number[]): void {
    this.#assertStage(
      'ready',
      'reorder',
      'the prompt has not been run. Call start first, and wait for one call before the next.',
    );
    const unknown = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= this.#rows);
    if (rows.length === 0 || unknown !== undefined) {
      throw new InputError(
        `reorder: got [${rows.join(', ')}], expected one or more row numbers from 0 to ${this.#rows - 1}. Name the old row of each new one.`,
      );
    }
    this.reorderCaches(rows);
    this.#rows = rows.length;
  }

  dispose(): void {
    if (this.#stage === 'disposed') return;
    this.#stage = 'disposed';
    this.disposeCaches();
  }

  protected abstract runPrompt(options: PassOptions): Promise<Tensor2D>;
  protected abstract runTokens(tokenIds: readonly number[], options: PassOptions): Promise<Tensor2D>;
  protected abstract reorderCaches(rows: readonly number[]): void;
  protected abstract disposeCaches(): void;

  #assertStage(expected: 'new' | 'ready', where: string, problem: string): void {
    if (this.#stage === 'disposed') throw new DisposedError('The decoding session');
    if (this.#stage !== expected) throw new InputError(`${where}: ${problem}`);
  }

  async #run(pass: () => Promise<Tensor2D>): Promise<Tensor2D> {
    this.#stage = 'running';
    try {
      const logits = await pass();
      // Narrowed by the line above, but `dispose` may have been called meanwhile.
      if ((this.#stage as string) === 'disposed') {
        logits.dispose();
        throw new DisposedError('The decoding session');
      }
      this.#stage = 'ready';
      return logits;
    } catch (cause) {
      this.dispose();
      throw cause;
    }
  }
}
