import type { ProductStatistics } from '../passes/observe-products.ts';
import { isProduct, type QuantizationPolicy, quantizedForm, weightsByName } from '../passes/place-weights.ts';
import type { TracedGraph } from '../trace/graph-builder.ts';
import type { PredictedProduct } from './choose-forms.ts';
import type { FormError, ProductForm } from './predict-error.ts';

/** How the products of a function compute, and with what error. */
export interface QuantizationReport {
  /** Of the function: `vision encoder`. */
  readonly name: string;
  /** In the order of the graph. */
  readonly products: readonly ProductReport[];
  /**
   * Against float32 on the samples, one for each output of the function. Absent where nothing was measured: without samples, or for a
   * number format whose products all have one form.
   */
  readonly outputs?: readonly OutputError[];
}

/** One product x·Wᵀ. */
export interface ProductReport {
  /** Of the weight. */
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  readonly form: ProductForm;
  readonly bits: 32 | 8 | 4;
  /** What the samples showed. Absent where nothing was measured. */
  readonly measured?: {
    /** Of the activations, all inputs together. */
    readonly low: number;
    readonly high: number;
    readonly rms: number;
    /** Predicted errors of every form; 0 for float32. */
    readonly errors: Readonly<Record<ProductForm, FormError>>;
  };
}

/** How far an output is from float32. A row is all values along the last axis: a token's features. */
export interface OutputError {
  /** Its path in the function's result. */
  readonly name: string;
  /** Of the rows' cosines with those of float32. */
  readonly cosine: { readonly min: number; readonly mean: number };
  /** ‖ŷ − y‖ / ‖y‖ of the whole. */
  readonly relativeError: number;
}

/** What becomes of every product with a weight matrix. */
export function reportProducts(
  graph: TracedGraph,
  policy: QuantizationPolicy,
  statistics: readonly ProductStatistics[] = [],
  predicted: readonly PredictedProduct[] = [],
): ProductReport[] {
  const weights = weightsByName(graph);
  const seen = new Map(statistics.map((one) => [one.name, one]));
  const errors = new Map(predicted.map((one) => [one.name, one.errors]));
  return graph.nodes.filter(isProduct).flatMap((node): ProductReport[] => {
    const matrix = weights.get(node.inputs[1]!);
    if (matrix?.weight.shape.length !== 2) return [];
    const { name, weight } = matrix;
    const [outputs, inputs] = weight.shape as [number, number];
    const form = quantizedForm(matrix, policy);
    const scaling = form?.inputExponents === undefined ? '' : ('scaled ' as const);
    const activations = seen.get(name);
    return [
      {
        name,
        outputs,
        inputs,
        form: form === undefined ? 'float32' : `${scaling}${form.kind === 'columns' ? 'rows' : 'blocks'}`,
        bits: form === undefined ? 32 : form.kind === 'blocks' ? form.bits : 8,
        ...(activations && { measured: measuredOf(activations, errors.get(name)!) }),
      },
    ];
  });
}

function measuredOf(
  { low, high, meanSquare }: ProductStatistics,
  errors: PredictedProduct['errors'],
): NonNullable<ProductReport['measured']> {
  return { low, high, rms: Math.sqrt(meanSquare), errors: { ...errors, float32: { weights: 0, results: 0, worstRow: 0 } } };
}

/** One line: `vision encoder: 235 products: 231 rows, 4 blocks; cosine with float32 at least 0.99940, 0.99958 on average`. */
export function summarizeReport({ name, products, outputs }: QuantizationReport): string {
  const counts = Map.groupBy(products, (product) => formName(product));
  const forms = [...counts].map(([form, { length }]) => `${length} ${form}`).join(', ') || 'none';
  if (outputs === undefined || outputs.length === 0) return `${name}: ${products.length} products: ${forms}; not measured`;
  const min = Math.min(...outputs.map(({ cosine }) => cosine.min));
  const mean = outputs.reduce((sum, { cosine }) => sum + cosine.mean, 0) / outputs.length;
  const accuracy = `cosine with float32 at least ${min.toFixed(5)}, ${mean.toFixed(5)} on average`;
  return `${name}: ${products.length} products: ${forms}; ${accuracy}`;
}

/** The whole report as text for a terminal: the summary, then a table with a line for each product. */
export function formatReport(report: QuantizationReport): string {
  const rows = report.products.map((product) => {
    const { name, outputs, inputs, form, measured } = product;
    const fixed = [name, `${outputs} × ${inputs}`, formName(product)];
    if (measured === undefined) return [...fixed, '', '', '', '', ''];
    const { low, high, rms, errors } = measured;
    const error = errors[form];
    return [
      ...fixed,
      percent(error.weights),
      `${low.toPrecision(3)} … ${high.toPrecision(3)}`,
      rms.toPrecision(3),
      percent(error.results),
      percent(error.worstRow),
    ];
  });
  const header = ['product', 'size', 'form', 'weight error', 'activations', 'rms', 'error', 'worst row'];
  const table = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return [summarizeReport(report), ...lines].join('\n');
}

function formName({ form, bits }: ProductReport): string {
  return bits === 4 ? `${form} of 4 bits` : form;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
