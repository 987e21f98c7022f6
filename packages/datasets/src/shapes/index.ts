/** The shapes world: pictures of coloured shapes with captions and questions, drawn from a seed. Nothing here needs Node. */
export { annotate, ANNOTATORS, SYNONYMS } from './annotators.ts';
export { describeScene } from './captions.ts';
export { askGqaScene, type AskGqaSceneOptions, GQA_SHARES, type GqaKind, type GqaSceneQuestion } from './gqa/questions.ts';
export type { GqaStep, GqaTypes } from './gqa/semantics.ts';
export {
  type Background,
  BACKGROUND_NAMES,
  BACKGROUNDS,
  type Color,
  COLOR_NAMES,
  COLORS,
  isUnseenPair,
  isUnseenShape,
  KNOWN_SHAPES,
  type Rgb,
  type Shape,
  type Size,
  SIZES,
  type Texture,
  TEXTURES,
  UNSEEN_PAIRS,
  UNSEEN_SHAPES,
} from './palette.ts';
export { answerProgram, type Attribute, type Filter, type Program, type Selector } from './programs.ts';
export {
  type AnswerType,
  askScene,
  type AskSceneOptions,
  QUESTION_SHARES,
  type QuestionKind,
  type SceneQuestion,
} from './questions.ts';
export { type SceneKey, sceneRandom, type Stream } from './random.ts';
export { type CaptionClaims, captionFits, readCaption } from './read-caption.ts';
export { type Relation, RELATIONS } from './relations.ts';
export { coversPoint } from './render/covers.ts';
export { renderScene, type RenderSceneOptions } from './render/render-scene.ts';
export { type Domain, drawScene, type DrawSceneOptions, type Scene, type SceneObject } from './scene.ts';
export { SHAPES_WORDS } from './words.ts';
