import { ResourceError, ShapeError, UnsupportedBackendError } from '@blip2/core';

/** What ONNX Runtime could not load, as one of our errors. */
export function loadFailure(where: string, cause: unknown): Error {
  const detail = detailOf(cause);
  return (
    memoryProblem(where, detail, cause) ??
    new UnsupportedBackendError(
      `${where}: ONNX Runtime could not load the graph: ${detail}. A compiled graph should always load: report it with this message, ` +
        'or run without an engine.',
      { cause },
    )
  );
}

/** What ONNX Runtime could not run, as one of our errors. */
export function runFailure(where: string, cause: unknown): Error {
  const detail = detailOf(cause);
  return (
    memoryProblem(where, detail, cause) ??
    outputShapeProblem(where, detail) ??
    new UnsupportedBackendError(
      `${where}: ONNX Runtime could not run the graph: ${detail}. The inputs had the graph's shapes and types, so the graph itself is at ` +
        'fault: report it with this message, or run without an engine.',
      { cause },
    )
  );
}

function detailOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).trim().replace(/\.$/, '');
}

function memoryProblem(where: string, detail: string, cause: unknown): Error | undefined {
  if (!/bad_alloc|Failed to allocate memory|out of memory|Array buffer allocation failed/i.test(detail)) return undefined;
  return new ResourceError(
    `${where}: memory ran out (${detail}). Use a smaller batch, or dispose tensors and sessions that are not needed.`,
    { cause },
  );
}

/** Source: onnxruntime 1.30, `core/framework/op_kernel.cc`, `OutputMLValue`. */
function outputShapeProblem(where: string, detail: string): Error | undefined {
  const found =
    /provided for output '([^']*)'.* has shape \{([\d,]*)\} but the computed output shape for this run is \{([\d,]*)\}/.exec(
      detail,
    );
  if (found === null) return undefined;
  const [, name, asked, computed] = found;
  const shapeOf = (text: string): number[] => text.split(',').filter(Boolean).map(Number);
  return new ShapeError(
    `${where}: output '${name}' was asked for as [${shapeOf(asked!).join(', ')}], but is [${shapeOf(computed!).join(', ')}] for these ` +
      'inputs. Pass its true shape, or none.',
    shapeOf(computed!),
    shapeOf(asked!),
  );
}
