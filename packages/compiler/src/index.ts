export { compileFor, type CompileOptions, type Target } from './compile.ts';
export { GRAPH_FORMAT } from './cache/graph-store.ts';
export { mapTree } from './tree.ts';
export { CompiledFunction } from './compiled-function.ts';
export { engineFor, type OnnxEngineOptions } from './engine.ts';
export { type CompiledDtype } from './quantize/policy.ts';
export { type FormError, type ProductForm } from './quantize/predict-error.ts';
export {
  formatReport,
  type OutputError,
  type ProductReport,
  type QuantizationReport,
  summarizeReport,
} from './quantize/report.ts';
export {
  adamW,
  adamWFactors,
  type AdamWFactors,
  type AdamWGroup,
  type AdamWOptions,
  adamWDefaults,
  adamWSchedule,
  type AdamWState,
  type AdamWStep,
} from './training/adamw.ts';
export {
  gradientFunction,
  type GradientInputs,
  type GradientOutputs,
  type LossAndMetrics,
  type LossFunction,
  type OptimizerOptions,
  trainingFunction,
  updateFunction,
  type UpdateInputs,
} from './training/training-function.ts';
export { meanOf } from './training/step-graphs.ts';
export {
  compileTrainingStepFor,
  type HostTree,
  restorableValues,
  type StepReport,
  type StepRunOptions,
  TrainingStep,
  type TrainingState,
  type TrainingStepOptions,
} from './training/training-step.ts';
export { buildGraph, type FunctionGraph, type GraphInput } from './build-graph.ts';
