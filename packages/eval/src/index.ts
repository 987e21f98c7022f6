export { BENCHMARKS } from './benchmarks/benchmark-run.ts';
export type { Benchmark, BenchmarkRun, ScoredItem } from './benchmarks/benchmark-run.ts';
export { ROW_CODEC, TEXT_CODEC } from './benchmarks/journal.ts';
export type { Journal, JournalCodec } from './benchmarks/journal.ts';
export { predictItems } from './benchmarks/predict-items.ts';
export type { PredictedPart, PredictOptions, RunProgress } from './benchmarks/predict-items.ts';
export { predictRetrieval } from './benchmarks/predict-retrieval.ts';
export type { CaptionedItem, RetrievalPrediction } from './benchmarks/predict-retrieval.ts';
export { predictAnswers, predictCaptions } from './benchmarks/predict.ts';
export type { ImageItem, QuestionItem } from './benchmarks/predict.ts';
export { scoreVqa } from './benchmarks/scored-answers.ts';
export type { AskedQuestion } from './benchmarks/scored-answers.ts';
export { CAPTION_METRICS, scoreCocoCaptions, scoreNoCaps } from './benchmarks/scored-captions.ts';
export type { CaptionMetricGroup, CaptionRunInput, ScoredCaptions } from './benchmarks/scored-captions.ts';
export { scoreGqa } from './benchmarks/scored-gqa.ts';
export { scoreRetrieval } from './benchmarks/scored-retrieval.ts';
export type { Scored } from './benchmarks/scored.ts';
export { ANSWER_SETTINGS, CAPTION_SETTINGS, PROTOCOLS, RETRIEVAL_SETTINGS } from './benchmarks/settings.ts';
export type { AnswerSettings, CaptionSettings, Protocol, RetrievalSettings } from './benchmarks/settings.ts';
export { publishedResults } from './benchmarks/published.ts';
export type { PublishedResult } from './benchmarks/published.ts';
export { bleu } from './captions/bleu.ts';
export type { BleuResult, BleuScores, BleuTotals } from './captions/bleu.ts';
export { cider, documentFrequencies } from './captions/cider.ts';
export type { CiderOptions, DocumentFrequencies } from './captions/cider.ts';
export { evaluateCaptions, prepareCaptions, scorePrepared } from './captions/evaluate.ts';
export type { CaptionEvaluation, CaptionInput, CaptionMetric, PreparedCaptions } from './captions/evaluate.ts';
export type { CaptionAnnotations } from './captions/annotations.ts';
export { captionResults, cocoAnnotations, karpathyAnnotations, lavisAnnotations } from './captions/files.ts';
export type { CaptionResult, CocoCaptionFile, CocoImage, KarpathyFile, KarpathyImage, LavisCaptions } from './captions/files.ts';
export { evaluateNoCaps, noCapsDomains } from './captions/nocaps.ts';
export type { NoCapsAnnotations, NoCapsDomain } from './captions/nocaps.ts';
export { tokenizePtb } from './captions/ptb/tokenizer.ts';
export { rougeL } from './captions/rouge.ts';
export { selfCriticalRewards, tokenRowText } from './captions/self-critical.ts';
export { tokenizeWhitespace } from './captions/tokenizer.ts';
export type { CaptionScores, CaptionTokenizer, TokenizedCaptions } from './captions/tokenizer.ts';
export { readCaptionAnnotations, readCaptionResults } from './files/captions.ts';
export type { SplitOptions } from './files/captions.ts';
export { readGqaAttention, readGqaChoices, readGqaPredictions, readGqaQuestions, readGqaSceneGraphs } from './files/gqa.ts';
export type { LoadOptions } from './files/read-formats.ts';
export { readRetrievalSet } from './files/retrieval.ts';
export type { RetrievalSet } from './files/retrieval.ts';
export { readLavisQuestions, readVqaAnnotations, readVqaQuestions, readVqaResults } from './files/vqa.ts';
export type { LavisQuestion, LoadedQuestion } from './files/vqa.ts';
export { gqaAccuracy } from './gqa/gqa-accuracy.ts';
export { evaluateGqa } from './gqa/gqa.ts';
export type { GqaInput } from './gqa/gqa.ts';
export type {
  GqaAttention,
  GqaChoices,
  GqaPrediction,
  GqaQuestion,
  GqaSceneGraph,
  GqaScores,
  GqaShare,
} from './gqa/questions.ts';
export type { Id, IndexOptions } from './ids.ts';
export { bestCandidates, bestRank } from './retrieval/ranks.ts';
export type { ScoreRow } from './retrieval/ranks.ts';
export { NOT_RANKED, rerankCandidates, rerankedScores } from './retrieval/rerank.ts';
export type { RerankCandidates } from './retrieval/rerank.ts';
export { evaluateRetrieval, recallAt } from './retrieval/retrieval.ts';
export type { Recalls, RetrievalScores } from './retrieval/retrieval.ts';
export { retrievalTexts } from './retrieval/texts.ts';
export type { RetrievalTexts } from './retrieval/texts.ts';
export { roundLikePython } from './rounding.ts';
export { cleanVqaAnswer, normalizeVqaAnswer, normalizeVqaPunctuation, normalizeVqaWords } from './vqa/normalization.ts';
export type { VqaNormalization } from './vqa/normalization.ts';
export { directAnswerAccuracy, evaluateVqa, vqaAccuracy } from './vqa/vqa.ts';
export type { VqaAnnotation, VqaResult, VqaScores } from './vqa/vqa.ts';
