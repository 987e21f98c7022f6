import { ACTIVATIONS_CASES } from './activations.ts';
import { ARITHMETIC_CASES } from './arithmetic.ts';
import { COMPARISONS_CASES } from './comparisons.ts';
import { CONVOLUTION_CASES } from './convolution.ts';
import { CREATION_CASES } from './creation.ts';
import { FUNCTIONS_CASES } from './functions.ts';
import { FUSED_CASES } from './fused.ts';
import { IMAGES_CASES } from './images.ts';
import { INDEXING_CASES } from './indexing.ts';
import { POOLING_CASES } from './pooling.ts';
import { PRODUCTS_CASES } from './products.ts';
import { REDUCTIONS_CASES } from './reductions.ts';
import { SCATTER_CASES } from './scatter.ts';
import { SHAPES_CASES } from './shapes.ts';
import { SLICING_CASES } from './slicing.ts';
import type { KernelCases } from './kernel-case.ts';

/** Ways to call every kernel, by its group. Tests compare them with eager tfjs; the README's table is made of them. */
export const KERNEL_CASES: Readonly<Record<string, KernelCases>> = {
  arithmetic: ARITHMETIC_CASES,
  comparisons: COMPARISONS_CASES,
  functions: FUNCTIONS_CASES,
  activations: ACTIVATIONS_CASES,
  reductions: REDUCTIONS_CASES,
  shapes: SHAPES_CASES,
  slicing: SLICING_CASES,
  creation: CREATION_CASES,
  indexing: INDEXING_CASES,
  scatter: SCATTER_CASES,
  products: PRODUCTS_CASES,
  convolution: CONVOLUTION_CASES,
  pooling: POOLING_CASES,
  images: IMAGES_CASES,
  fused: FUSED_CASES,
};
