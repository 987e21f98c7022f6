import { annotate } from '../annotators.ts';
import { askScene } from '../questions.ts';
import { sceneRandom } from '../random.ts';
import type { CocoFolder } from './coco.ts';
import type { JsonList } from './json-list.ts';
import { cocoInfo, createList, type PlannedScene, type WorldWriter } from './world-writer.ts';

/** The two files of a split, open. */
export interface VqaFiles extends AsyncDisposable {
  /** Adds the questions of a scene. */
  add(planned: PlannedScene): Promise<void>;
  end(): Promise<void>;
}

/** The openings of questions that VQAv2 has for types, as far as they occur here, longer ones first. */
const QUESTION_TYPES = ['what color is the', 'is there a', 'is there', 'are there', 'how many', 'what', 'is the'] as const;

/** Images have fewer questions than this. */
const IDS_AN_IMAGE = 1000;

/**
 * VQAv2's questions and annotations of one split.
 *
 * Source: v2_OpenEnded_mscoco_*_questions.json and v2_mscoco_*_annotations.json, visualqa.org.
 */
export async function createVqaFiles(world: WorldWriter, folder: CocoFolder): Promise<VqaFiles> {
  const head = `{${cocoInfo(`Shapes world, questions about ${folder}`)},"data_type":"mscoco","data_subtype":"${folder}"`;
  const questions = await createList(
    world,
    `vqav2/v2_OpenEnded_mscoco_${folder}_questions.json`,
    `${head},"task_type":"Open-Ended","questions":[`,
    ']}',
  );
  let annotations: JsonList;
  try {
    annotations = await createList(world, `vqav2/v2_mscoco_${folder}_annotations.json`, `${head},"annotations":[`, ']}');
  } catch (cause) {
    await questions[Symbol.asyncDispose]();
    throw cause;
  }
  return {
    async add({ scene, id, seed, index }) {
      const random = sceneRandom({ seed, index }, 'questions');
      for (const [place, question] of askScene(scene, random).entries()) {
        const question_id = id * IDS_AN_IMAGE + place;
        await questions.add({ image_id: id, question: question.text, question_id });
        const answers = annotate(question, random).map((answer, number) => ({
          answer,
          answer_confidence: answer === question.answer ? 'yes' : 'maybe',
          answer_id: number + 1,
        }));
        await annotations.add({
          question_type: QUESTION_TYPES.find((type) => question.text.startsWith(`${type} `)) ?? 'none of the above',
          multiple_choice_answer: question.answer,
          answers,
          image_id: id,
          answer_type: question.type,
          question_id,
        });
      }
    },
    async end() {
      await questions.end();
      await annotations.end();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([questions[Symbol.asyncDispose](), annotations[Symbol.asyncDispose]()]);
    },
  };
}
