/** Threads of ONNX Runtime in training: `TINY_THREADS`, or as many as there are cores. */
export const THREADS: number | undefined =
  process.env['TINY_THREADS'] === undefined ? undefined : Number(process.env['TINY_THREADS']);
