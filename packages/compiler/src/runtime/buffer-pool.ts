/** Neighbouring sizes differ by this factor: a buffer is at most so much larger than what was asked for. */
const GROWTH = 1.25;

/** The smallest buffer, and what sizes are multiples of. */
const GRAIN = 64;

/**
 * Keeps buffers that are not needed any more for the next ones of about their size. New memory of 640 MB takes a second to
 * touch; memory that was used before takes none. A buffer is either here or with one owner, never both.
 *
 * Sizes are rounded up to classes, so that a cache which grows by one row at each step finds the buffers of
 * the steps before.
 */
export class BufferPool {
  /** Longest unused first. */
  readonly #free: ArrayBuffer[] = [];
  readonly #maxBytes: number;
  #freeBytes = 0;

  /** @param maxBytes - The most to keep; what is more is freed, what was unused longest first. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes kept for reuse. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** @returns a buffer of at least that many bytes, with whatever is in it, the caller's until {@link give}. */
  take(bytes: number): ArrayBuffer {
    const size = classOf(bytes);
    const index = this.#free.findLastIndex((one) => one.byteLength === size);
    if (index === -1) return new ArrayBuffer(size);
    const [buffer] = this.#free.splice(index, 1);
    this.#freeBytes -= size;
    return buffer!;
  }

  /** Takes a buffer back, of `take` or of any origin. Nobody may use it, or views of it, from here on. */
  give(buffer: ArrayBuffer): void {
    if (buffer.byteLength === 0) return;
    if (buffer.byteLength > this.#maxBytes || buffer.byteLength !== classOf(buffer.byteLength)) {
      free(buffer);
      return;
    }
    this.#free.push(buffer);
    this.#freeBytes += buffer.byteLength;
    while (this.#freeBytes > this.#maxBytes) {
      const oldest = this.#free.shift()!;
      this.#freeBytes -= oldest.byteLength;
      free(oldest);
    }
  }

  /** Frees everything. */
  clear(): void {
    for (const buffer of this.#free.splice(0)) free(buffer);
    this.#freeBytes = 0;
  }
}

/** 64, 128, 192, 256, 320, 448, … up to 16 TB. */
const CLASSES: readonly number[] = sizeClasses();

function sizeClasses(): readonly number[] {
  const sizes = new Set<number>();
  for (let size = GRAIN; size < 2 ** 44; size *= GROWTH) sizes.add(GRAIN * Math.ceil(size / GRAIN));
  return [...sizes];
}

/** The smallest class that holds so many bytes; 0 for none. */
export function classOf(bytes: number): number {
  if (bytes === 0) return 0;
  let low = 0;
  let high = CLASSES.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (CLASSES[middle]! < bytes) low = middle + 1;
    else high = middle;
  }
  return CLASSES[low]!;
}

/** Lets go of the memory now; the collector sees only a small object and may wait for long. */
function free(buffer: ArrayBuffer): void {
  if (!buffer.detached) buffer.transfer(0);
}
