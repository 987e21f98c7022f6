import { article } from '../grammar.ts';
import { type Attribute, type Filter } from '../programs.ts';
import type { Asker } from '../questions.ts';
import { describeUniquely, filterOf, isPossible, nounOf, valuesOf } from '../questions/phrases.ts';
import { absentFilter } from '../questions/yes-no.ts';
import { pick, pickWeighted, shuffled } from '../random.ts';

/** Kinds of questions that GQA has and VQAv2 has not. */

const ATTRIBUTE_SHARES: Readonly<Record<Attribute, number>> = { color: 40, texture: 25, shape: 20, size: 15 };

/** "is the circle red or blue?" */
export const askChoose: Asker = (scene, random) => {
  const attribute = pickWeighted(ATTRIBUTE_SHARES, random);
  const object = pick(scene.objects, random);
  const filter = describeUniquely(scene, object, [attribute], random);
  if (filter === undefined) return undefined;
  const wrong = valuesOf(attribute, scene.domain).filter(
    (value) => value !== object[attribute] && isPossible({ ...filter, [attribute]: value }, scene.domain),
  );
  const options = shuffled([object[attribute], pick(wrong, random)], random) as [string, string];
  const said = options.map((value) => (attribute === 'shape' ? `${article(value)} ${value}` : value));
  return {
    text: `is the ${nounOf(filter)} ${said.join(' or ')}?`,
    answer: object[attribute],
    program: { op: 'choose', attribute, options, of: { filter } },
  };
};

/** "are there both a red circle and a blue square?", "is there a red circle or a blue square?" */
export const askLogical: Asker = (scene, random) => {
  const present = shuffled(scene.objects, random).map((object) => filterOf(object, ['color', 'shape']));
  const absent = [0, 1].map(() => absentFilter(scene, ['color', 'shape'], random));
  const [there, alsoThere] = [present[0]!, present.find((filter) => nounOf(filter) !== nounOf(present[0]!))];
  const [missing, alsoMissing] = absent;
  // Everything that any answer needs must be there, or one answer would be the rarer one.
  if (alsoThere === undefined || missing === undefined || alsoMissing === undefined) return undefined;
  if (nounOf(missing) === nounOf(alsoMissing)) return undefined;
  const how = random() < 0.5 ? 'and' : 'or';
  const isTrue = random() < 0.5;
  // "Both" fails by one of the two, "or" holds by one.
  const [first, second] = shuffled(
    isTrue === (how === 'or') ? [there, missing] : isTrue ? [there, alsoThere] : [missing, alsoMissing],
    random,
  ) as [Filter, Filter];
  const [one, other] = [first, second].map((filter) => `${article(nounOf(filter))} ${nounOf(filter)}`);
  return {
    text: how === 'and' ? `are there both ${one} and ${other}?` : `is there ${one} or ${other}?`,
    answer: isTrue ? 'yes' : 'no',
    program: { op: 'logical', how, first, second },
  };
};

/** "do the circle and the square have the same color?" */
export const askSame: Asker = (scene, random) => {
  const attribute = pick(['color', 'shape', 'size', 'texture'] as const, random);
  const described = scene.objects.flatMap((object) => {
    const filter = describeUniquely(scene, object, [attribute], random);
    return filter === undefined ? [] : [{ value: object[attribute], filter }];
  });
  const pairs = described.flatMap((first) => described.filter((second) => second !== first).map((second) => ({ first, second })));
  const [same, different] = [true, false].map((isSame) =>
    pairs.filter(({ first, second }) => (first.value === second.value) === isSame),
  );
  // Only where both answers can be asked for: most pairs differ in colour and shape.
  if (same!.length === 0 || different!.length === 0) return undefined;
  const isTrue = random() < 0.5;
  const { first, second } = pick(isTrue ? same! : different!, random);
  const [one, other] = [first.filter, second.filter];
  return {
    text: `do the ${nounOf(one)} and the ${nounOf(other)} have the same ${attribute}?`,
    answer: isTrue ? 'yes' : 'no',
    program: { op: 'same', attribute, first: one, second: other },
  };
};
