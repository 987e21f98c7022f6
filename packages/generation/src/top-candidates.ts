/** Which of two equal values counts as the better one: the one at the lower index or at the higher. */
export type TieRule = 'lower-first' | 'higher-first';

/**
 * The indices of the `count` highest values, best first. Values of −Infinity are never among them, so fewer may
 * come back.
 *
 * A heap holds the best so far with the worst of them on top, and most values fail one comparison with it:
 * O(size) in practice, O(size · log count) at worst. Nothing is sorted but the result.
 */
export function topIndices(values: ArrayLike<number>, count: number, ties: TieRule = 'lower-first'): number[] {
  const size = values.length;
  const direction = ties === 'lower-first' ? 1 : -1;
  const isBetter = (left: number, right: number): boolean => {
    const difference = values[left]! - values[right]!;
    return difference > 0 || (difference === 0 && (right - left) * direction > 0);
  };
  const heap: number[] = [];
  if (count < 1) return heap;
  // Equal values are met best first, so a value that only equals the worst kept one never displaces it.
  let threshold = Number.NEGATIVE_INFINITY;
  for (let step = 0; step < size; step++) {
    const index = direction === 1 ? step : size - 1 - step;
    if (!(values[index]! > threshold)) continue;
    if (heap.length < count) {
      siftUp(heap, index, isBetter);
    } else {
      siftDown(heap, index, isBetter);
    }
    if (heap.length === count) threshold = values[heap[0]!]!;
  }
  return heap.toSorted((left, right) => (isBetter(left, right) ? -1 : 1));
}

/** Adds an index to a heap whose top is the worst. */
function siftUp(heap: number[], index: number, isBetter: (left: number, right: number) => boolean): void {
  let at = heap.push(index) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBetter(heap[parent]!, index)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = index;
}

/** Puts an index in the place of the heap's top, the worst. */
function siftDown(heap: number[], index: number, isBetter: (left: number, right: number) => boolean): void {
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBetter(heap[child]!, heap[child + 1]!)) child++;
    if (!isBetter(index, heap[child]!)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = index;
}
