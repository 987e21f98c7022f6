import { article } from '../grammar.ts';
import { type Attribute, type Filter, matches, type Program, selectOne, type Selector } from '../programs.ts';
import { nounOf } from '../questions/phrases.ts';
import { OPPOSITE } from '../relations.ts';
import type { Scene } from '../scene.ts';

/** One step of GQA's functional programs. */
export interface GqaStep {
  readonly operation: string;
  /** Places of the steps whose results this one needs. */
  readonly dependencies: readonly number[];
  readonly argument: string;
}

/** GQA's three classifications of a question. */
export interface GqaTypes {
  readonly structural: 'verify' | 'query' | 'choose' | 'logical' | 'compare';
  readonly semantic: 'obj' | 'attr' | 'cat' | 'rel' | 'global';
  readonly detailed: string;
}

/**
 * A program in GQA's notation: objects by name, with their numbers in the scene in brackets (`-` for none).
 *
 * @example
 * semanticSteps(scene, { op: 'exist', filter: { color: 'red', shape: 'circle' } });
 * // select: circle (0), filter color: red [0], exist: ? [1]
 *
 * Source: files of GQA 1.2, field `semantic`.
 */
export function semanticSteps(scene: Scene, program: Program): GqaStep[] {
  const steps: GqaStep[] = [];
  const add = (operation: string, argument: string, ...dependencies: number[]): number =>
    steps.push({ operation, dependencies, argument }) - 1;
  const select = (filter: Filter): number => {
    let at = add('select', `${filter.shape ?? 'object'} (${numbersOf(scene, filter)})`);
    for (const attribute of ['color', 'size', 'texture'] as const) {
      if (filter[attribute] !== undefined) at = add(`filter ${attribute}`, filter[attribute], at);
    }
    return at;
  };
  const reach = ({ filter, relative }: Selector): number => {
    if (relative === undefined) return select(filter);
    const target = scene.objects.indexOf(selectOne(scene, { filter, relative }));
    return add('relate', `${filter.shape ?? '_'},${relative.relation},s (${target})`, select(relative.to));
  };
  switch (program.op) {
    case 'exist':
      add('exist', '?', select(program.filter));
      break;
    case 'verify':
      add(`verify ${nameOf(program.attribute)}`, program.value, reach(program.of));
      break;
    case 'query':
      add('query', nameOf(program.attribute), reach(program.of));
      break;
    case 'choose':
      add(`choose ${nameOf(program.attribute)}`, program.options.join('|'), reach(program.of));
      break;
    case 'relate': {
      const object = numbersOf(scene, program.object);
      const subject = select(program.subject);
      add('verify rel', `${program.object.shape ?? 'object'},${program.relation},o (${object})`, subject);
      break;
    }
    case 'logical': {
      const [first, second] = [program.first, program.second].map((filter) => add('exist', '?', select(filter)));
      add(program.how, '', first!, second!);
      break;
    }
    case 'same':
      add(`same ${nameOf(program.attribute)}`, '', select(program.first), select(program.second));
      break;
    case 'background':
      add('query', 'background', add('select', 'scene'));
      break;
    case 'count':
    case 'compare':
      throw new RangeError(`semanticSteps: GQA has no questions of numbers, found '${program.op}'. Ask with askGqaScene.`);
  }
  return steps;
}

/** `select: circle (0)->filter color: red [0]->exist: ? [1]` */
export function semanticText(steps: readonly GqaStep[]): string {
  return steps
    .map(({ operation, dependencies, argument }) => {
      const needs = dependencies.length === 0 ? '' : ` [${dependencies.join(',')}]`;
      return `${operation}:${argument === '' ? '' : ` ${argument}`}${needs}`;
    })
    .join('->');
}

/** The types of a program's question, in GQA's words. */
export function gqaTypes(program: Program): GqaTypes {
  switch (program.op) {
    case 'exist':
      return { structural: 'verify', semantic: 'obj', detailed: 'existAttr' };
    case 'verify':
      return { structural: 'verify', semantic: 'attr', detailed: 'verifyAttr' };
    case 'relate':
      return { structural: 'verify', semantic: 'rel', detailed: 'relVerify' };
    case 'choose':
      return { structural: 'choose', semantic: 'attr', detailed: 'chooseAttr' };
    case 'logical':
      return { structural: 'logical', semantic: 'obj', detailed: program.how === 'and' ? 'existAnd' : 'existOr' };
    case 'same':
      return { structural: 'compare', semantic: 'attr', detailed: 'twoSame' };
    case 'query':
      if (program.of.relative !== undefined) return { structural: 'query', semantic: 'rel', detailed: 'relS' };
      if (program.attribute === 'shape') return { structural: 'query', semantic: 'cat', detailed: 'categoryThis' };
      return { structural: 'query', semantic: 'attr', detailed: 'directOf' };
    default:
      return { structural: 'query', semantic: 'global', detailed: 'place' };
  }
}

/** The answer as a sentence. */
export function fullAnswer(scene: Scene, program: Program, answer: string): string {
  const isYes = answer === 'yes';
  switch (program.op) {
    case 'exist':
      return isYes ? `yes, there is ${oneOf(program.filter)}.` : `no, there is no ${nounOf(program.filter)}.`;
    case 'verify':
      return `${answer}, ${saidOf(program.of)} ${valueOf(program.attribute, selectOne(scene, program.of)[program.attribute])}.`;
    case 'relate': {
      const relation = isYes ? program.relation : OPPOSITE[program.relation];
      return `${answer}, the ${nounOf(program.subject)} is ${relation} the ${nounOf(program.object)}.`;
    }
    case 'query':
    case 'choose':
      return `${saidOf(program.of)} ${valueOf(program.attribute, answer)}.`;
    case 'logical': {
      const [first, second] = [oneOf(program.first), oneOf(program.second)];
      if (program.how === 'and') return `${answer}, there ${isYes ? 'are' : 'are not'} both ${first} and ${second}.`;
      return isYes ? `yes, there is ${first} or ${second}.` : `no, there is neither ${first} nor ${second}.`;
    }
    case 'same': {
      const { attribute, first, second } = program;
      const same = `the ${nounOf(first)} and the ${nounOf(second)}`;
      return `${answer}, ${same} ${isYes ? '' : 'do not '}have the same ${attribute}.`;
    }
    case 'background':
      return `the background is ${answer}.`;
    default:
      return `${answer}.`;
  }
}

function saidOf({ filter, relative }: Selector): string {
  const place = relative === undefined ? '' : ` ${relative.relation} the ${nounOf(relative.to)}`;
  return `the ${nounOf(filter)}${place} is`;
}

function oneOf(filter: Filter): string {
  return `${article(nounOf(filter))} ${nounOf(filter)}`;
}

function valueOf(attribute: Attribute, value: string): string {
  return attribute === 'shape' ? `${article(value)} ${value}` : value;
}

/** GQA calls what a thing is its name. */
function nameOf(attribute: Attribute): string {
  return attribute === 'shape' ? 'name' : attribute;
}

function numbersOf({ objects }: Scene, filter: Filter): string {
  const numbers = objects.flatMap((object, number) => (matches(object, filter) ? [number] : []));
  return numbers.length === 0 ? '-' : numbers.join(',');
}
