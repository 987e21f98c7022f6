/**
 * For `node --import`: this process finds no package `onnxruntime-node`, as on a machine where nobody installed it. The
 * message is Node's own: the name is looked up where nothing is.
 */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, nextResolve) =>
    nextResolve(specifier, specifier === 'onnxruntime-node' ? { ...context, parentURL: 'file:///' } : context),
});
