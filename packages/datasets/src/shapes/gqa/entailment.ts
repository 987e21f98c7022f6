import type { Filter, Program } from '../programs.ts';
import { OPPOSITE } from '../relations.ts';

/** A program with its answer. */
export interface Answered {
  readonly program: Program;
  readonly answer: string;
}

/**
 * True when who knows the first answer knows the second: who was told that the circle is red knows that there is a red circle.
 * Only what follows from the words of the two; a question does not entail itself.
 */
export function entails(known: Answered, asked: Answered): boolean {
  if (known.program === asked.program) return false;
  return isEquivalent(known, asked) || (tells(known, asked) ?? false);
}

/** True when two questions ask the same in other words: left of one, right of the other. */
export function isEquivalent({ program: first }: Answered, { program: second }: Answered): boolean {
  if (first.op !== second.op) return false;
  if (first.op === 'relate' && second.op === 'relate') {
    const mirrored = { ...second, relation: OPPOSITE[second.relation], subject: second.object, object: second.subject };
    return isSame(first, second) || isSame(first, mirrored);
  }
  if ((first.op === 'same' && second.op === 'same') || (first.op === 'logical' && second.op === 'logical')) {
    return isSame(first, second) || isSame(first, { ...second, first: second.second, second: second.first });
  }
  if (first.op === 'choose' && second.op === 'choose') {
    const turned = { ...second, options: [second.options[1], second.options[0]] as const };
    return isSame(first, second) || isSame(first, turned);
  }
  return isSame(first, second);
}

function tells({ program: known, answer }: Answered, { program: asked, answer: askedAnswer }: Answered): boolean | undefined {
  if (known.op === 'query' || known.op === 'choose' || (known.op === 'verify' && answer === 'yes')) {
    // The value is known: it can be verified, chosen and queried, and something that has it exists.
    if (asked.op === 'verify' || asked.op === 'choose' || asked.op === 'query') {
      return asked.attribute === known.attribute && isSame(asked.of, known.of);
    }
    const value = known.op === 'verify' ? known.value : answer;
    return tellsExistence({ ...known.of.filter, [known.attribute]: value }, asked, askedAnswer);
  }
  if (known.op === 'exist' && answer === 'yes') return tellsExistence(known.filter, asked, askedAnswer);
  if (known.op === 'logical' && known.how === 'and' && answer === 'yes') {
    return [known.first, known.second].some((filter) => tellsExistence(filter, asked, askedAnswer));
  }
  return undefined;
}

/** An object like `filter` exists: does that answer the question? */
function tellsExistence(filter: Filter, asked: Program, answer: string): boolean {
  if (answer !== 'yes') return false;
  if (asked.op === 'exist') return isPart(asked.filter, filter);
  return asked.op === 'logical' && asked.how === 'or' && [asked.first, asked.second].some((one) => isPart(one, filter));
}

function isPart(part: Filter, whole: Filter): boolean {
  return (Object.entries(part) as [keyof Filter, string][]).every(([attribute, value]) => whole[attribute] === value);
}

/** Equal data, whatever the order of their fields. */
function isSame(first: unknown, second: unknown): boolean {
  return canonical(first) === canonical(second);
}

function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const fields = Object.entries(value).toSorted(([first], [second]) => (first < second ? -1 : 1));
  return `{${fields.map(([name, field]) => `${name}:${canonical(field)}`).join()}}`;
}
