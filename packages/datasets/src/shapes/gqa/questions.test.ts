import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answerProgram } from '../programs.ts';
import { sceneRandom } from '../random.ts';
import { type Domain, drawScene } from '../scene.ts';
import { askGqaScene, GQA_SHARES, type GqaSceneQuestion } from './questions.ts';

const questionsOf = (seed: number, index: number, domain: Domain = 'in'): GqaSceneQuestion[] =>
  askGqaScene(drawScene({ seed, index }, { domain }), sceneRandom({ seed, index }, 'gqa'));

test('every answer is what its program gives, and full answers say it', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(), fc.constantFrom<Domain[]>('in', 'near', 'out'), (seed, index, domain) => {
      const scene = drawScene({ seed, index }, { domain });
      for (const { text, program, answer, fullAnswer, semantic, semanticStr } of questionsOf(seed, index, domain)) {
        expect(answerProgram(scene, program), text).toBe(answer);
        expect(` ${fullAnswer.replaceAll(/[.,]/g, ' ')} `, text).toContain(` ${answer} `);
        expect(text).toMatch(/^[a-z ]+\?$/);
        expect(semanticStr.split('->')).toHaveLength(semantic.length);
        // A step needs only what stands before it, and every step but the last is needed once.
        expect(semantic.flatMap(({ dependencies }) => dependencies).toSorted()).toEqual(
          semantic.slice(1).map((_, place) => place),
        );
      }
    }),
    { numRuns: 500 },
  );
});

test('a question entails what has an answer in every scene that gives its own', () => {
  const scenes = Array.from({ length: 400 }, (_, index) => drawScene({ seed: 21, index }));
  let pairs = 0;
  for (let index = 0; index < 150; index++) {
    const questions = questionsOf(21, index);
    for (const [place, { program, answer, entailed, equivalent }] of questions.entries()) {
      expect(equivalent).toContain(place);
      expect(entailed).not.toContain(place);
      for (const follows of entailed) {
        pairs++;
        for (const scene of scenes) {
          try {
            if (answerProgram(scene, program) !== answer) continue;
            expect(answerProgram(scene, questions[follows]!.program)).toBe(questions[follows]!.answer);
          } catch (error) {
            // A question that has no answer in that scene: it speaks of an object that is not there once.
            if (!(error instanceof Error) || !error.message.startsWith('answerProgram')) throw error;
          }
        }
      }
    }
  }
  expect(pairs).toBeGreaterThan(30);
});

test('yes is as frequent as no, kinds have their shares', () => {
  const questions = Array.from({ length: 3000 }, (_, index) => questionsOf(5, index)).flat();
  for (const op of ['exist', 'verify', 'relate', 'logical', 'same'] as const) {
    const own = questions.filter(({ program }) => program.op === op);
    expect(own.filter(({ answer }) => answer === 'yes').length / own.length, op).toBeCloseTo(0.5, 1);
  }
  for (const how of ['and', 'or']) {
    const own = questions.filter(({ program }) => program.op === 'logical' && program.how === how);
    expect(own.filter(({ answer }) => answer === 'yes').length / own.length, how).toBeCloseTo(0.5, 1);
  }
  const chosen = questions.flatMap(({ program, answer }) => (program.op === 'choose' ? [program.options[0] === answer] : []));
  expect(chosen.filter(Boolean).length / chosen.length).toBeCloseTo(0.5, 1);
  for (const kind of Object.keys(GQA_SHARES))
    expect(questions.filter((one) => one.kind === kind).length, kind).toBeGreaterThan(200);
});

test('what questions are like', () => {
  const shown = questionsOf(3, 6).map(({ text, answer, fullAnswer, semanticStr, types, groups, entailed }) => ({
    asked: `${text} ${answer} (${fullAnswer})`,
    semanticStr,
    types: Object.values(types).join(' '),
    groups: `${groups.global} ${groups.local}`,
    entailed,
  }));
  expect(shown).toMatchInlineSnapshot(`
    [
      {
        "asked": "is there a pink ring? no (no, there is no pink ring.)",
        "entailed": [],
        "groups": "null exist-object_object",
        "semanticStr": "select: ring (-)->filter color: pink [0]->exist: ? [1]",
        "types": "verify obj existAttr",
      },
      {
        "asked": "what color is the diamond? pink (the diamond is pink.)",
        "entailed": [],
        "groups": "color query-diamond_color",
        "semanticStr": "select: diamond (3)->query: color [0]",
        "types": "query attr directOf",
      },
      {
        "asked": "is the red object small? yes (yes, the red object is small.)",
        "entailed": [],
        "groups": "null verify-object_size",
        "semanticStr": "select: object (2)->filter color: red [0]->verify size: small [1]",
        "types": "verify attr verifyAttr",
      },
      {
        "asked": "what texture is the green object? striped (the green object is striped.)",
        "entailed": [],
        "groups": "texture query-object_texture",
        "semanticStr": "select: object (1)->filter color: green [0]->query: texture [1]",
        "types": "query attr directOf",
      },
      {
        "asked": "is there a plain green object? no (no, there is no plain green object.)",
        "entailed": [],
        "groups": "null exist-object_object",
        "semanticStr": "select: object (-)->filter color: green [0]->filter texture: plain [1]->exist: ? [2]",
        "types": "verify obj existAttr",
      },
      {
        "asked": "is the green object below the diamond? no (no, the green object is above the diamond.)",
        "entailed": [],
        "groups": "null relate-object_object",
        "semanticStr": "select: object (1)->filter color: green [0]->verify rel: diamond,below,o (3) [1]",
        "types": "verify rel relVerify",
      },
      {
        "asked": "what color is the plain ring? red (the plain ring is red.)",
        "entailed": [],
        "groups": "color query-ring_color",
        "semanticStr": "select: ring (2)->filter texture: plain [0]->query: color [1]",
        "types": "query attr directOf",
      },
      {
        "asked": "is the purple object a star or a square? square (the purple object is a square.)",
        "entailed": [],
        "groups": "shape choose-object_shape",
        "semanticStr": "select: object (0)->filter color: purple [0]->choose name: star|square [1]",
        "types": "choose attr chooseAttr",
      },
    ]
  `);
});
