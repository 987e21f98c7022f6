import { type FormError, INTEGER_FORMS, type ProductForm } from './predict-error.ts';

/** A product and what each form would cost it in accuracy. */
export interface PredictedProduct {
  readonly name: string;
  readonly errors: Readonly<Record<Exclude<ProductForm, 'float32'>, FormError>>;
  /** Whether ranges of its inputs may move into its matrix. */
  readonly canScale: boolean;
}

/**
 * Blocks may have so many times the error of the faster forms: they are the best that 8 bits offer, and the next step is six times slower.
 */
const BLOCKS_ALLOWANCE = 2;

/** The worst row may have so many times the error of all together. */
const WORST_ROW_ALLOWANCE = 2;

/**
 * The fastest form of each product whose error stays within a limit.
 *
 * @param limit - Of the relative error of a product's results.
 */
export function chooseForms(products: readonly PredictedProduct[], limit: number): ReadonlyMap<string, ProductForm> {
  return new Map(
    products.map(({ name, errors, canScale }) => {
      const form = INTEGER_FORMS.find((one) => {
        const { results, worstRow } = errors[one];
        const allowed = limit * (one.endsWith('blocks') ? BLOCKS_ALLOWANCE : 1);
        return results <= allowed && worstRow <= allowed * WORST_ROW_ALLOWANCE && (canScale || !one.startsWith('scaled'));
      });
      return [name, form ?? 'float32'];
    }),
  );
}
