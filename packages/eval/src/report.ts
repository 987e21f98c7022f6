export type { BootstrapOptions } from './report/bootstrap.ts';
export { compareRuns } from './report/compare-runs.ts';
export type { CompareOptions, ItemChange, RunComparison } from './report/compare-runs.ts';
export { comparisonReport } from './report/comparison-report.ts';
export type { ExampleOptions, ImageUrl } from './report/example-cards.ts';
export { evaluationReport } from './report/evaluation-report.ts';
export type { EvaluationReportOptions } from './report/evaluation-report.ts';
export { resultTable } from './report/result-table.ts';
