import { ConfigError } from '@blip2/core';
import { asObject, parseFields, type Schema } from '@blip2/core/config';

/**
 * Checks a JSON configuration against a schema.
 *
 * @param family - `OPT`, `T5`: for messages.
 * @param modelType - What `model_type` must be, if it is there.
 * @throws {ConfigError} naming every field that does not fit.
 */
export function parseConfig<Output>(schema: Schema<Output>, json: unknown, family: string, modelType: string): Output {
  const fields = asObject(json, `${family} configuration`);
  const found = fields['model_type'];
  if (found !== undefined && found !== modelType) {
    throw new ConfigError(
      `${family} configuration: model_type is ${JSON.stringify(found)}, expected "${modelType}". ` +
        `Load this checkpoint with the package that knows such models, or pass the right config.json.`,
    );
  }
  return parseFields(schema, fields, `${family} configuration`);
}

/**
 * Checks that heads divide a width.
 * @throws {ConfigError} naming both numbers.
 */
export function assertDivisible(width: number, heads: number, family: string): void {
  if (width % heads === 0) return;
  throw new ConfigError(
    `${family} configuration: hidden_size ${width} cannot be split into ${heads} heads of equal width. Correct one of the two.`,
  );
}
