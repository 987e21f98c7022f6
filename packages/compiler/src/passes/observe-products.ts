import type { Weight } from '@blip2/core';
import type { OnnxNode, OnnxValue } from '../onnx/graph.ts';
import { GraphBuilder, type TracedGraph } from '../trace/graph-builder.ts';
import { isProduct, weightsByName } from './place-weights.ts';

/** A product x·Wᵀ of a graph, x `[rows, inputs]`, W `[outputs, inputs]`. */
export interface Product {
  /** Of the weight in the graph. */
  readonly name: string;
  readonly weight: Weight;
}

/** What was seen of the activations of one product when its graph ran on samples. */
export interface ProductStatistics extends Product {
  /** Smallest and largest activation. */
  readonly low: number;
  readonly high: number;
  /** Mean of x². */
  readonly meanSquare: number;
  /** One exponent e for each input: in x·2^−e and W·2^e the ratio of its largest magnitudes is about that of other inputs. Products of the same x have the same. */
  readonly exponents: readonly number[];
  /** ‖y‖² of each row of results, without bias, `[rows]`. */
  readonly resultEnergy: Float32Array;
  readonly plain: ActivationRows;
  /** Of x·2^−e. */
  readonly scaled: ActivationRows;
}

/** How large the activations of each row are. */
export interface ActivationRows {
  /** Smallest and largest, `[rows]`. */
  readonly low: Float32Array;
  readonly high: Float32Array;
  /** Largest magnitude of each block of inputs, `[rows, blocks]`. */
  readonly blockRanges: Float32Array;
  /** Sum of squares of each block of inputs, `[rows, blocks]`. */
  readonly blockEnergy: Float32Array;
}

/** A graph with more outputs behind its own. */
export interface ObservedGraph {
  readonly graph: TracedGraph;
  /** Whether there is anything to observe. */
  readonly hasProducts: boolean;
  /** @param values - Of the outputs behind the graph's own. @returns one for each product; products of the same activations stand together. */
  read(values: readonly Float32Array[]): ProductStatistics[];
}

/** A product and its node. */
interface ObservedProduct extends Product {
  readonly node: OnnxNode;
}

/** Exponents stay where neither factor leaves float32. */
const LARGEST_EXPONENT = 30;

/** Stands for zero in logarithms. */
const LEAST = 1e-20;

/**
 * Adds to a graph what tells how well the activations of its products can be rounded: two outputs for each of the activations, about all rows together and about
 * each row.
 *
 * @param isCandidate - Which weights are asked about.
 * @param blockSize - Inputs that share a scale where activations are rounded in blocks.
 */
export function observeProducts(graph: TracedGraph, isCandidate: (weight: Weight) => boolean, blockSize: number): ObservedGraph {
  const weights = weightsByName(graph);
  const products = graph.nodes.filter(isProduct).flatMap((node): ObservedProduct[] => {
    const found = weights.get(node.inputs[1]!);
    const isMatrix = found?.weight.shape.length === 2;
    return isMatrix && isCandidate(found.weight) ? [{ name: found.name, weight: found.weight, node }] : [];
  });
  const groups = [...Map.groupBy(products, ({ node }) => node.inputs[0]!).values()];
  const observed = groups.map((group, index) => {
    const builder = new GraphBuilder(`observed${index}.`);
    return builder.finish(new GroupObserver(builder, group, blockSize).observe(`observed.rows${index}`));
  });
  return {
    hasProducts: products.length > 0,
    graph: {
      ...graph,
      // The first ones last: ONNX Runtime begins with what the last results need, and with all of it. So it goes through the graph from group to
      // group, and neither activations nor converted weights wait in memory until the end.
      nodes: [...graph.nodes, ...observed.toReversed().flatMap(({ nodes }) => nodes)],
      constants: [...graph.constants, ...observed.flatMap(({ constants }) => constants)],
      outputs: [...graph.outputs, ...observed.flatMap(({ outputs }) => outputs)],
    },
    read: (values) => groups.flatMap((group, index) => readGroup(group, blockSize, values[2 * index]!, values[2 * index + 1]!)),
  };
}

/** Writes the statistics of products of the same activations. */
class GroupObserver {
  readonly #builder: GraphBuilder;
  readonly #group: readonly ObservedProduct[];
  readonly #blockSize: number;
  /** Name of the activations, `[rows, inputs]`. */
  readonly #x: string;

  constructor(builder: GraphBuilder, group: readonly ObservedProduct[], blockSize: number) {
    this.#builder = builder;
    this.#group = group;
    this.#blockSize = blockSize;
    this.#x = group[0]!.node.inputs[0]!;
  }

  /**
   * @param rows - Name of the axis.
   * @returns two outputs, as {@link readGroup} reads them.
   */
  observe(rows: string): OnnxValue[] {
    const [low, high] = [this.#reduce('ReduceMin', this.#x, 0, 0), this.#reduce('ReduceMax', this.#x, 0, 0)]; // [inputs]
    const exponents = this.#exponents(this.#do('Max', this.#do('Neg', low), high)); // [inputs]
    const factors = this.#do('Pow', this.#builder.float(2), this.#do('Neg', exponents)); // [inputs]
    const extremes = [this.#reduce('ReduceMin', low, 0), this.#reduce('ReduceMax', high, 0)]; // [1]
    const meanSquare = this.#reduce('ReduceMean', this.#reduce('ReduceMean', this.#do('Mul', this.#x, this.#x), 0, 0), 0); // [1]
    const common = this.#concat([exponents, ...extremes, meanSquare], 0); // [inputs + 3]
    const columns = [...this.#observeRows(this.#x), ...this.#observeRows(this.#do('Mul', this.#x, factors))];
    const perRow = this.#concat([...columns, ...this.#group.map(({ node }) => this.#resultEnergy(node))], 1); // [rows, columns]
    const { inputs, blocks } = this.#sizes();
    return [
      { name: common, type: 'float32', shape: [inputs + 3] },
      { name: perRow, type: 'float32', shape: [rows, 4 * (1 + blocks) + this.#group.length] },
    ];
  }

  /** @param x - `[rows, inputs]` @returns names of columns: 1 + 1 + blocks + blocks. */
  #observeRows(x: string): string[] {
    const { inputs, blocks } = this.#sizes();
    const missing = blocks * this.#blockSize - inputs;
    const padded = missing === 0 ? x : this.#do('Pad', x, this.#builder.sizes([0, 0, 0, missing]));
    const split = this.#do('Reshape', padded, this.#builder.sizes([-1, blocks, this.#blockSize])); // [rows, blocks, blockSize]
    return [
      this.#reduce('ReduceMin', x, 1), // [rows, 1]
      this.#reduce('ReduceMax', x, 1), // [rows, 1]
      this.#reduce('ReduceMax', this.#do('Abs', split), 2, 0), // [rows, blocks]
      this.#reduce('ReduceSumSquare', split, 2, 0), // [rows, blocks]
    ];
  }

  /** ‖y‖² of each row, `[rows, 1]`. */
  #resultEnergy({ inputs, outputs }: OnnxNode): string {
    const bias = inputs[2];
    const result = bias === undefined ? outputs[0]! : this.#do('Sub', outputs[0]!, bias); // [rows, outputs]
    return this.#reduce('ReduceSumSquare', result, 1);
  }

  /** Half of the binary logarithm of how much larger the activations of an input are than its weights, compared with other inputs. @param range - `[inputs]` */
  #exponents(range: string): string {
    const weightRanges = this.#group.map(({ node }) => this.#reduce('ReduceMax', this.#do('Abs', node.inputs[1]!), 0, 0)); // [inputs]
    const weightRange = weightRanges.length === 1 ? weightRanges[0]! : this.#do('Max', ...weightRanges);
    const logarithm = (name: string): string => this.#do('Log', this.#do('Max', name, this.#builder.float(LEAST)));
    const ratio = this.#do('Sub', logarithm(range), logarithm(weightRange));
    // Seen from their mean most inputs are near zero, and stay as they are.
    const apart = this.#do('Sub', ratio, this.#reduce('ReduceMean', ratio, 0));
    const exponent = this.#do('Round', this.#do('Mul', apart, this.#builder.float(0.5 / Math.LN2)));
    return this.#do('Clip', exponent, this.#builder.float(-LARGEST_EXPONENT), this.#builder.float(LARGEST_EXPONENT));
  }

  #sizes(): { inputs: number; blocks: number } {
    return sizesOf(this.#group, this.#blockSize);
  }

  #do(operator: string, ...inputs: string[]): string {
    return this.#builder.operation(operator, inputs);
  }

  #reduce(operator: string, x: string, axis: number, keepdims = 1): string {
    return this.#builder.operation(operator, [x, this.#builder.sizes([axis])], { attributes: { keepdims } });
  }

  #concat(names: readonly string[], axis: number): string {
    return this.#builder.operation('Concat', names, { attributes: { axis } });
  }
}

function sizesOf(group: readonly Product[], blockSize: number): { inputs: number; blocks: number } {
  const inputs = group[0]!.weight.shape[1]!;
  return { inputs, blocks: Math.ceil(inputs / blockSize) };
}

/**
 * @param common - `[inputs + 3]`: exponents, smallest, largest, mean square.
 * @param perRow - `[rows, columns]`: what {@link ActivationRows} has, plain and scaled, then a column for each product.
 */
function readGroup(
  group: readonly ObservedProduct[],
  blockSize: number,
  common: Float32Array,
  perRow: Float32Array,
): ProductStatistics[] {
  const { inputs, blocks } = sizesOf(group, blockSize);
  const [low, high, meanSquare] = common.subarray(inputs);
  const width = 4 * (1 + blocks) + group.length;
  const rows = perRow.length / width;
  let column = 0;
  const take = (count: number): Float32Array => {
    const taken = new Float32Array(rows * count);
    for (let row = 0; row < rows; row++) {
      taken.set(perRow.subarray(row * width + column, row * width + column + count), row * count);
    }
    column += count;
    return taken;
  };
  const takeRows = (): ActivationRows => ({ low: take(1), high: take(1), blockRanges: take(blocks), blockEnergy: take(blocks) });
  const [plain, scaled] = [takeRows(), takeRows()];
  const exponents = [...common.subarray(0, inputs)];
  return group.map(({ name, weight }) => {
    return { name, weight, low: low!, high: high!, meanSquare: meanSquare!, exponents, resultEnergy: take(1), plain, scaled };
  });
}
