import type { RunOptions } from '@blip2/core';
import type { FunctionSignature } from '../compiled-function.ts';
import type { OnnxGraph } from '../onnx/graph.ts';
import type { QuantizationReport } from '../quantize/report.ts';
import type { RuntimeSession, SessionOptions } from '../runtime/runtime.ts';

/**
 * Of compiled graphs. Raise it when the same function becomes another graph: by another kernel, pass or policy. Stored graphs of another number are
 * not used. `packages/blip2/src/graph-versions.test.ts` fails when graphs change and no number does.
 */
export const GRAPH_FORMAT = 3;

/** All that decides what graph a function becomes. */
export interface FunctionKey {
  /** What the function itself depends on: its configuration and version. */
  readonly identity: unknown;
  readonly inputs: unknown;
  /** A tree of weights by reference. */
  readonly weights: unknown;
  readonly dtype: string;
  readonly quantize: string;
  /** A tree of values that the forms of products were chosen by. */
  readonly samples?: unknown;
}

/** What is kept of a function beside its graph. */
export interface FunctionRecord {
  readonly signature: FunctionSignature;
  readonly report?: QuantizationReport;
}

/** A function as it was stored, ready to run. */
export interface StoredFunction extends FunctionRecord {
  readonly session: RuntimeSession;
}

type StoreOptions = { readonly name: string } & Pick<RunOptions, 'abortSignal'>;

/** Keeps compiled graphs from one start to the next. */
export interface GraphStore {
  /** @returns `undefined` for a function that cannot be recognised again. */
  keyOf(key: FunctionKey): Promise<string | undefined>;
  /** @returns `undefined` when there is none, or it is damaged. */
  load(key: string, options: StoreOptions): Promise<StoredFunction | undefined>;
  /** Loads a graph and stores it. */
  createSession(key: string, graph: OnnxGraph, record: FunctionRecord, options: SessionOptions): Promise<RuntimeSession>;
}
