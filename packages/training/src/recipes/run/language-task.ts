import { ConfigError, type HostTensor, type Tokenizer } from '@blip2/core';
import { optTexts, qformerTexts, t5Texts } from '../../batches/text-batches.ts';
import { stageTwoDropoutPool } from '../dropout-pool.ts';
import { type LanguageModelParams, type StageTwoBatch, stageTwoLoss } from '../stage-two.ts';
import type { RecipeLanguageModel } from './model-parts.ts';
import { countAnswers, prefixRows, type PromptedRow, promptedCaptionRows, questionRows, type RowsOf } from './rows.ts';
import { featuresOf, recipeParameters, type RecipeTask, type TaskSettings, textTokenizerOf } from './task.ts';

/** Source: LAVIS, `max_txt_len` of the language models and of the Q-Former. */
const TEXT_TOKENS = 32;
/** OPT reads question and answer as one text. */
const QUESTION_AND_ANSWER_TOKENS = 64;
/** What an answer shall have room for; `answer` writes at most 10 tokens. */
const ANSWER_TOKENS = 12;

/** What follows an image in fine-tuning. Source: LAVIS `caption_coco_ft.yaml`. */
export const CAPTION_PROMPT = 'a photo of';

/** Templates that `answer` of `blip2` uses when nothing else is asked for, so that a trained model is asked as it was taught. */
export const QUESTION_TEMPLATES: Readonly<Record<'opt' | 't5', string>> = {
  opt: 'Question: {} Answer:',
  t5: 'Question: {} Short answer:',
};

/**
 * The second stage, captioning and question answering: the Q-Former prompts a frozen language model, whose loss trains it. For questions
 * the queries read the question too, where the Q-Former reads text.
 *
 * @throws {ConfigError} when texts are longer than the language model's positions.
 */
export function languageTask(settings: TaskSettings): RecipeTask<PromptedRow> {
  const { recipe, model, batch } = settings;
  const { config } = model.qformer;
  const language = model.language!;
  const isQuestion = recipe.recipe === 'vqa';
  const lengths = textLengths(settings, language);
  const readsQuestion = isQuestion && config.readsText;
  const questionTokens = readsQuestion ? Math.min(TEXT_TOKENS, config.maxPositions) : 0;
  return {
    needs: isQuestion ? 'questions with answers' : 'captions',
    rowsOf: rowsOf(settings, language, lengths),
    countRows: (record) => {
      if (!isQuestion) return (record.captions?.length ?? 0) > 0 ? 1 : 0;
      const answers = countAnswers(record);
      return recipe.answers === 'sampled' ? Math.min(answers, 1) : answers;
    },
    images: 1,
    texts: (rows) => ({
      texts: languageTexts(language, rows, lengths),
      ...(readsQuestion && {
        question: qformerTexts(
          textTokenizerOf(model),
          rows.map(({ question }) => question!),
          questionTokens,
        ),
      }),
      ...(isQuestion && { weights: shares(rows) }),
    }),
    dropoutPool: stageTwoDropoutPool(config, language, {
      batch,
      imageTokens: settings.imageTokens,
      questionTokens,
      textTokens: language.kind === 'opt' ? lengths.text : lengths.prompt,
      targetTokens: language.kind === 'opt' ? 0 : lengths.text,
    }),
    parameters: recipeParameters(settings),
    loss: (params, given) => {
      const features = featuresOf(params, settings, given);
      const languageModel = { kind: language.kind, config: language.config, params: params.language } as LanguageModelParams;
      return stageTwoLoss(params.bridge, config, languageModel, { ...given, features } as unknown as StageTwoBatch, {
        dropoutRate: recipe.dropout,
      });
    },
  };
}

/** Sizes of the rows of text. */
interface TextLengths {
  /** All of OPT's text, T5's target. */
  readonly text: number;
  /** T5's prompt. */
  readonly prompt: number;
}

function textLengths({ recipe, model }: TaskSettings, language: RecipeLanguageModel): TextLengths {
  const isLong = language.kind === 'opt' && recipe.recipe === 'vqa';
  const wanted = recipe.maxTextTokens ?? (isLong ? QUESTION_AND_ANSWER_TOKENS : TEXT_TOKENS);
  if (language.kind === 't5')
    return { text: wanted, prompt: recipe.recipe === 'vqa' ? Math.max(wanted, TEXT_TOKENS) : TEXT_TOKENS };
  const room = language.config.maxPositions - model.qformer.config.queries;
  if (recipe.maxTextTokens !== undefined && wanted > room) {
    throw new ConfigError(
      `maxTextTokens is ${wanted}, expected at most ${room}: the language model has ${language.config.maxPositions} positions, and ` +
        `${model.qformer.config.queries} are the queries'.`,
    );
  }
  return { text: Math.min(wanted, room), prompt: 0 };
}

function rowsOf({ recipe }: TaskSettings, language: RecipeLanguageModel, { text, prompt }: TextLengths): RowsOf<PromptedRow> {
  const { kind, tokenizer } = language;
  if (recipe.recipe === 'stage2') return prefixRows(kind);
  if (recipe.recipe === 'caption') return promptedCaptionRows(recipe.prompt ?? CAPTION_PROMPT);
  const template = recipe.prompt ?? QUESTION_TEMPLATES[kind];
  const room = kind === 'opt' ? Math.max(text - ANSWER_TOKENS, Math.ceil(text / 2)) : prompt;
  return questionRows(template, recipe.answers, (question) => shortened(question, template, tokenizer, room));
}

/** The question without its last words, where its prompt would leave no room. */
function shortened(question: string, template: string, tokenizer: Tokenizer, room: number): string {
  const words = question.split(' ');
  const fits = (): boolean => tokenizer.encode(template.replace('{}', () => words.join(' '))).length <= room;
  while (words.length > 1 && !fits()) words.pop();
  return words.join(' ');
}

function languageTexts(language: RecipeLanguageModel, rows: readonly PromptedRow[], { text, prompt }: TextLengths): unknown {
  const texts = { prompts: rows.map((row) => row.prompt), targets: rows.map((row) => row.target) };
  if (language.kind === 'opt') return optTexts(language.tokenizer, language.config, texts, text);
  return t5Texts(language.tokenizer, language.config, texts, { promptTokens: prompt, targetTokens: text });
}

/**
 * Weights whose mean is 1, so that the loss is the mean over questions: what a question's answers weigh adds up to 1, and the sum over
 * rows counts questions.
 *
 * Source: BLIP (arXiv 2201.12086), VQA: the weighted sum of answers' losses over the number of questions.
 */
function shares(rows: readonly PromptedRow[]): HostTensor {
  const sum = rows.reduce((total, { weight }) => total + weight, 0);
  return { shape: [rows.length], data: Float32Array.from(rows, ({ weight }) => (weight * rows.length) / sum) };
}
