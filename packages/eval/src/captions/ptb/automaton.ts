import type { classify } from './character-sets.ts';
import type { Pattern } from './patterns.ts';

const UNKNOWN = -1;
const DEAD = 0;

/** Where the longest match ends, and the first of the patterns that match so far. */
export interface Match {
  readonly end: number;
  readonly pattern: number;
}

/** A state that reads a unit of some classes, or one that ends pattern `accepts`, or one that goes on without reading. */
interface NfaState {
  readonly classes?: readonly number[];
  readonly accepts?: number;
  next: readonly number[];
}

/**
 * Finds the longest match of any of several patterns. States of the deterministic automaton are built when a text first needs them:
 * texts are plain sentences, which visit few of the many that the rules allow.
 */
export class Automaton {
  readonly #classes: ReturnType<typeof classify>;
  readonly #nfa: NfaState[] = [];
  readonly #keys = new Map<string, number>(); // set of NFA states → state
  readonly #members: number[][] = []; // state → its NFA states
  readonly #moves: Int32Array[] = []; // state → class → state
  readonly #accepts: number[] = []; // state → first pattern that ends here, or -1

  constructor(patterns: readonly Pattern[], classes: ReturnType<typeof classify>) {
    this.#classes = classes;
    const starts = patterns.map((pattern, index) => this.#build(pattern, this.#add({ accepts: index, next: [] })));
    this.#state([]); // DEAD
    this.#state(this.#closure(starts));
  }

  /** The longest match that begins at `start`; of patterns that match equally far, the first. */
  longest(text: string, start: number): Match | undefined {
    let match: Match | undefined;
    this.#walk(text, start, text.length, (end, pattern) => (match = { end, pattern }));
    return match;
  }

  /** All ends of matches that begin at `start`, ascending. */
  ends(text: string, start: number, limit: number): number[] {
    const ends: number[] = [];
    this.#walk(text, start, limit, (end) => ends.push(end));
    return ends;
  }

  #walk(text: string, start: number, limit: number, onMatch: (end: number, pattern: number) => void): void {
    const { classOf } = this.#classes;
    let state = 1;
    for (let position = start; position < limit; position += 1) {
      const unitClass = classOf[text.charCodeAt(position)]!;
      let next = this.#moves[state]![unitClass]!;
      if (next === UNKNOWN) next = this.#move(state, unitClass);
      if (next === DEAD) return;
      state = next;
      if (this.#accepts[state]! >= 0) onMatch(position + 1, this.#accepts[state]!);
    }
  }

  #move(state: number, unitClass: number): number {
    const reached = this.#members[state]!.filter((one) => this.#nfa[one]!.classes?.includes(unitClass));
    const next = this.#state(this.#closure(reached.flatMap((one) => this.#nfa[one]!.next)));
    this.#moves[state]![unitClass] = next;
    return next;
  }

  #state(members: number[]): number {
    const key = members.join();
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const accepted = members.map((one) => this.#nfa[one]!.accepts ?? Number.POSITIVE_INFINITY);
    const first = Math.min(...accepted);
    const number = this.#members.length;
    this.#keys.set(key, number);
    this.#members.push(members);
    this.#moves.push(new Int32Array(this.#classes.count).fill(members.length === 0 ? DEAD : UNKNOWN));
    this.#accepts.push(Number.isFinite(first) ? first : -1);
    return number;
  }

  /** The states that read or accept and are reached without reading, ascending. */
  #closure(states: readonly number[]): number[] {
    const seen = new Set<number>();
    const open = [...states];
    while (open.length > 0) {
      const state = open.pop()!;
      if (seen.has(state)) continue;
      seen.add(state);
      const { classes, accepts, next } = this.#nfa[state]!;
      if (classes === undefined && accepts === undefined) open.push(...next);
    }
    return [...seen]
      .filter((one) => this.#nfa[one]!.classes !== undefined || this.#nfa[one]!.accepts !== undefined)
      .toSorted((a, b) => a - b);
  }

  /** Adds a pattern before the state `next`, and gives the state where it begins. */
  #build(pattern: Pattern, next: number): number {
    switch (pattern.kind) {
      case 'unit':
        return this.#add({ classes: this.#classes.classesOf.get(pattern.set)!, next: [next] });
      case 'sequence':
        return pattern.parts.reduceRight((after, part) => this.#build(part, after), next);
      case 'choice':
        return this.#add({ next: pattern.options.map((option) => this.#build(option, next)) });
      case 'repeat':
        return this.#repeat(pattern, next);
    }
  }

  #repeat({ part, least, most }: Extract<Pattern, { kind: 'repeat' }>, next: number): number {
    let start = next;
    if (most === Number.POSITIVE_INFINITY) {
      const loop: NfaState = { next: [] };
      start = this.#add(loop);
      loop.next = [this.#build(part, start), next];
    } else {
      for (let count = least; count < most; count += 1) start = this.#add({ next: [this.#build(part, start), next] });
    }
    for (let count = 0; count < least; count += 1) start = this.#build(part, start);
    return start;
  }

  #add(state: NfaState): number {
    return this.#nfa.push(state) - 1;
  }
}
