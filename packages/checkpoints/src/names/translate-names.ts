import { CheckpointError, renamedWeight, type Weight, type WeightSource } from '@blip2/core';
import type { NameRule } from './name-rules.ts';

/** What the holes of a pattern stand for in one name. */
interface Captures {
  readonly i?: string;
  readonly rest?: string;
}

/** A rule read in one direction. */
interface DirectedRule {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly patterns: readonly RegExp[];
  readonly convert: (weights: readonly Weight[], names: readonly string[]) => Weight[];
}

/** The rules from the original files' names to the Hub's, or back. */
export function directRules(rules: readonly NameRule[], direction: 'to hub' | 'to lavis'): DirectedRule[] {
  return rules.map(({ lavis, hub, relation }) => {
    const [from, to] = direction === 'to hub' ? [lavis, hub] : [hub, lavis];
    const convert = direction === 'to hub' ? relation?.toHub : relation?.toLavis;
    return { from, to, patterns: from.map(patternOf), convert: convert ?? sameWeight };
  });
}

/**
 * A source under other names. A name that no rule fits is kept. Nothing is read.
 *
 * @param isDropped - Names that have no place on the other side.
 * @throws {CheckpointError} when a weight lacks its other half, or two weights would get the same name.
 */
export function translateNames(
  source: WeightSource,
  rules: readonly DirectedRule[],
  isDropped: (name: string) => boolean,
): WeightSource {
  const translated = new Map<string, Weight>();
  const origins = new Map<string, string>();
  const done = new Set<string>();
  const put = (weight: Weight, origin: string): void => {
    const other = origins.get(weight.name);
    if (other !== undefined) {
      throw new CheckpointError(
        `${source.name}: '${other}' and '${origin}' are both '${weight.name}'. The file mixes two models or two layouts; keep one of them.`,
        source.name,
      );
    }
    origins.set(weight.name, origin);
    translated.set(weight.name, weight);
  };
  for (const name of source.names) {
    if (done.has(name) || isDropped(name)) continue;
    const found = firstMatch(rules, name);
    if (found === undefined) {
      put(source.get(name)!, name);
      continue;
    }
    const { rule, captures } = found;
    const members = rule.from.map((pattern) => fill(pattern, captures));
    const weights = members.map((member) => requireMember(source, member, name));
    for (const member of members) done.add(member);
    const names = rule.to.map((pattern) => fill(pattern, captures));
    for (const weight of rule.convert(weights, names)) put(weight, name);
  }
  return { name: source.name, names: [...translated.keys()], get: (name) => translated.get(name) };
}

/** True when one of the rules fits the name. */
export function hasRule(rules: readonly DirectedRule[], name: string): boolean {
  return firstMatch(rules, name) !== undefined;
}

function sameWeight(weights: readonly Weight[], names: readonly string[]): Weight[] {
  return [renamedWeight(weights[0]!, names[0]!)];
}

function firstMatch(rules: readonly DirectedRule[], name: string): { rule: DirectedRule; captures: Captures } | undefined {
  for (const rule of rules) {
    for (const pattern of rule.patterns) {
      const match = pattern.exec(name);
      if (match !== null) return { rule, captures: match.groups ?? {} };
    }
  }
  return undefined;
}

function requireMember(source: WeightSource, member: string, partner: string): Weight {
  const weight = source.get(member);
  if (weight !== undefined) return weight;
  const message = `${source.name}: has '${partner}' but not '${member}', which belongs to it. The file is incomplete; fetch it again.`;
  throw new CheckpointError(message, source.name);
}

function patternOf(pattern: string): RegExp {
  const source = pattern
    .replaceAll('.', String.raw`\.`)
    .replace('{i}', String.raw`(?<i>\d+)`)
    .replace('{rest}', '(?<rest>.+)');
  return new RegExp(`^${source}$`);
}

function fill(pattern: string, { i = '', rest = '' }: Captures): string {
  return pattern.replace('{i}', () => i).replace('{rest}', () => rest);
}
