import { ConfigError, type Engine } from '@blip2/core';

/**
 * How models are executed: `compiled` runs whole functions on ONNX Runtime; `eager` runs tfjs operations as they come, on the
 * backend that the application chose.
 */
export type EngineName = 'compiled' | 'eager';

/** The engines of this version. */
export const ENGINES: readonly EngineName[] = ['compiled', 'eager'];

/** Number formats of the frozen weights in the compiled engine. The Q-Former, which is trained, stays in float32. */
export type Dtype = 'fp32' | 'int8' | 'int4';

/** The number formats of this version. */
export const DTYPES: readonly Dtype[] = ['fp32', 'int8', 'int4'];

/** Something for each part of a model that is loaded. */
export interface ForEachPart<Value> {
  readonly visionEncoder?: Value;
  readonly qformer?: Value;
  readonly languageModel?: Value;
}

/** Names of the parts, for messages. */
export const PART_NAMES: Readonly<Record<keyof ForEachPart<unknown>, string>> = {
  visionEncoder: 'vision encoder',
  qformer: 'Q-Former',
  languageModel: 'language model',
};

/** How a model shall be executed. */
export interface EngineChoice {
  /**
   * A name; an `Engine` that you made, which stays yours; or engines for single parts, the others being eager.
   * @default 'compiled' in Node where `onnxruntime-node` is installed, else 'eager'
   */
  readonly engine?: EngineName | Engine | ForEachPart<Engine>;
  /**
   * Number format of the frozen weights, for all parts or by part; `compiled` only. Matrices that the checkpoint has quantised
   * keep their format. An `Engine` that you made has its own.
   * @default 'fp32'
   */
  readonly dtype?: Dtype | ForEachPart<Dtype>;
}

/** The engine of each part; a part without one is eager. */
export type PartEngines = ForEachPart<Engine>;

/** Makes the compiled engine, for one number format. Entries of the package that can run it bring one. */
export type EngineMaker = (dtype: Dtype) => Promise<Engine>;

/**
 * Turns a choice into engines.
 *
 * @param maker - Absent where there is no compiler; then `compiled` is refused, and the default is `eager`.
 * @throws {ConfigError} for a name or number format that is not known, or a format that the engine does not have.
 * Errors of the maker pass through.
 */
export async function resolveEngines({ engine, dtype }: EngineChoice, maker?: EngineMaker): Promise<PartEngines> {
  const formats = dtypeOfEachPart(dtype);
  const chosen = engine ?? (maker === undefined ? 'eager' : 'compiled');
  if (chosen === 'compiled') {
    if (maker === undefined) throw noCompiler();
    return makeForEachPart(formats, maker);
  }
  const named = Object.values(formats).find((format) => format !== 'fp32');
  if (chosen === 'eager') {
    if (named === undefined) return {};
    throw new ConfigError(
      `loadBlip2: dtype is ${describe(dtype)}, but the eager engine computes in float32 only. ` +
        `Leave dtype out, or take the compiled engine ({ engine: 'compiled' }, of 'blip2/node' and 'blip2/browser').`,
    );
  }
  if (typeof chosen !== 'object') {
    throw new ConfigError(
      `loadBlip2: the engine ${describe(chosen)} is not known. Take one of ${ENGINES.join(', ')}, or pass an Engine of your own.`,
    );
  }
  if (dtype !== undefined) {
    throw new ConfigError(
      `loadBlip2: dtype is ${describe(dtype)}, but an engine was given, and an engine has its own number format. ` +
        `Leave dtype out; to choose it, make the engine with it, such as onnxEngine({ dtype: 'int8' }).`,
    );
  }
  return isEngine(chosen) ? { visionEncoder: chosen, qformer: chosen, languageModel: chosen } : assertEngines(chosen);
}

/**
 * True when somebody asked for what only the compiled engine has, so that nothing else may take its place.
 */
export function asksForCompiled({ engine, dtype }: EngineChoice): boolean {
  return engine === 'compiled' || Object.values(dtypeOfEachPart(dtype)).some((format) => format !== 'fp32');
}

/**
 * What the engines of some parts are called, for messages: one name where all have the same.
 * @param eagerName - Of parts without an engine.
 */
export function nameEngines(engines: PartEngines, parts: readonly (keyof PartEngines)[], eagerName: string): string {
  const names = parts.map((part) => engines[part]?.name ?? eagerName);
  if (new Set(names).size <= 1) return names[0] ?? eagerName;
  return parts.map((part, index) => `${PART_NAMES[part]}: ${names[index]}`).join('; ');
}

function dtypeOfEachPart(dtype: EngineChoice['dtype'] = 'fp32'): Required<ForEachPart<Dtype>> {
  const formats: ForEachPart<Dtype> =
    typeof dtype === 'string' ? { visionEncoder: dtype, qformer: dtype, languageModel: dtype } : dtype;
  for (const [part, format] of Object.entries(formats)) {
    if (!(part in PART_NAMES)) {
      throw new ConfigError(`loadBlip2: dtype has a key '${part}', which is no part. The parts are ${partsOf().join(', ')}.`);
    }
    if (format !== undefined && !DTYPES.includes(format as Dtype)) {
      throw new ConfigError(`loadBlip2: dtype is ${describe(format)}, expected one of ${DTYPES.join(', ')}.`);
    }
  }
  return Object.fromEntries(partsOf().map((part) => [part, formats[part] ?? 'fp32'])) as unknown as Required<ForEachPart<Dtype>>;
}

/** One engine for each number format, shared by the parts that have it. */
async function makeForEachPart(formats: Required<ForEachPart<Dtype>>, maker: EngineMaker): Promise<PartEngines> {
  const made = new Map<Dtype, Engine>();
  for (const format of Object.values(formats)) if (!made.has(format)) made.set(format, await maker(format));
  return Object.fromEntries(partsOf().map((part) => [part, made.get(formats[part])!])) as PartEngines;
}

function isEngine(value: object): value is Engine {
  return typeof (value as Partial<Engine>).prepare === 'function';
}

function assertEngines(engines: ForEachPart<Engine>): PartEngines {
  for (const [part, engine] of Object.entries(engines)) {
    if (part in PART_NAMES && (engine === undefined || isEngine(engine))) continue;
    throw new ConfigError(
      `loadBlip2: engine is an object with the key '${part}', and neither an Engine nor engines by part. ` +
        `Pass an Engine (an object with prepare and gatherRows), or some for ${partsOf().join(', ')}.`,
    );
  }
  return engines;
}

function noCompiler(): ConfigError {
  return new ConfigError(
    `loadBlip2: the engine 'compiled' was asked for, but this entry of the package brings no compiler. ` +
      `Import loadBlip2 from 'blip2/node' or 'blip2/browser', or pass an Engine of your own.`,
  );
}

function partsOf(): (keyof typeof PART_NAMES)[] {
  return Object.keys(PART_NAMES) as (keyof typeof PART_NAMES)[];
}

function describe(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}
