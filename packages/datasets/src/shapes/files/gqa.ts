import { askGqaScene } from '../gqa/questions.ts';
import { sceneRandom } from '../random.ts';
import { createList, makeFolder, writePart, type WorldWriter } from './world-writer.ts';

/** Images have fewer questions than this. */
const IDS_AN_IMAGE = 100;

/**
 * GQA's balanced questions.
 *
 * Source: questions1.2 of GQA: one object a file, questions by id; images/{imageId}.
 */
export async function writeGqa(world: WorldWriter): Promise<void> {
  await makeFolder(world, 'gqa/images');
  for (const split of ['train', 'val', 'testdev'] as const) {
    await using list = await createList(world, `gqa/${split}_balanced_questions.json`, '{', '}');
    const imageIdOf = ({ id }: { readonly id: number }): string => `n${id}`;
    await writePart(
      world,
      `gqa ${split}`,
      (planned) => `gqa/images/${imageIdOf(planned)}.png`,
      async (planned) => {
        const { scene, id } = planned;
        const idOf = (place: number): string => String(id * IDS_AN_IMAGE + place);
        for (const [place, asked] of askGqaScene(scene, sceneRandom(planned, 'gqa')).entries()) {
          const { text, answer, fullAnswer, types, groups, semantic, semanticStr, isBalanced } = asked;
          const question = {
            semantic,
            entailed: asked.entailed.map(idOf),
            equivalent: asked.equivalent.map(idOf),
            question: text,
            imageId: imageIdOf(planned),
            isBalanced,
            groups,
            answer,
            semanticStr,
            annotations: { answer: {}, question: {}, fullAnswer: {} },
            types,
            fullAnswer,
          };
          await list.add(question, idOf(place));
        }
      },
    );
    await list.end();
  }
}
