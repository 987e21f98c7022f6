import type { classify } from './character-sets.ts';
import type { Pattern } from './patterns.ts';

const UNKNOWN = -1;
const DEAD = 0;

/** A walk this far beyond its match is worth a note; words and their contexts are shorter. */
const FAR = 64;
/** At every so many units there is one. */
const STEP = 16;

function placeOf(position: number, state: number): number {
  return position * 2 ** 20 + state;
}

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

  /**
   * The longest match that begins at `start`; of patterns that match equally far, the first.
   *
   * @param deadEnds - Of this text, at first none. A walk that goes far beyond its match notes where it was in vain, so that later ones turn back there: without
   * that, a row of characters which might become an address would be walked again from each of them.
   */
  longest(text: string, start: number, deadEnds: Set<number>): Match | undefined {
    let [state, end, stateAtEnd] = [1, -1, 1];
    let position = start;
    for (; position < text.length; position += 1) {
      const next = this.#next(state, text.charCodeAt(position));
      if (next === DEAD) break;
      state = next;
      if (this.#accepts[state]! >= 0) [end, stateAtEnd] = [position + 1, state];
      else if (position - end > FAR && position % STEP === 0 && deadEnds.has(placeOf(position, state))) break;
    }
    if (end < 0) return undefined;
    if (position - end > FAR) this.#noteDeadEnds(text, end, position, stateAtEnd, deadEnds);
    return { end, pattern: this.#accepts[stateAtEnd]! };
  }

  #noteDeadEnds(text: string, from: number, to: number, stateAtFrom: number, deadEnds: Set<number>): void {
    let state = stateAtFrom;
    for (let position = from; position < to; position += 1) {
      state = this.#next(state, text.charCodeAt(position));
      if (position % STEP === 0) deadEnds.add(placeOf(position, state));
    }
  }

  /** All ends of matches that begin at `start`, ascending. */
  ends(text: string, start: number, limit: number): number[] {
    const ends: number[] = [];
    this.#walk(text, start, limit, (end) => ends.push(end));
    return ends;
  }

  #walk(text: string, start: number, limit: number, onMatch: (end: number, pattern: number) => void): void {
    let state = 1;
    for (let position = start; position < limit; position += 1) {
      const next = this.#next(state, text.charCodeAt(position));
      if (next === DEAD) return;
      state = next;
      if (this.#accepts[state]! >= 0) onMatch(position + 1, this.#accepts[state]!);
    }
  }

  #next(state: number, unit: number): number {
    const unitClass = this.#classes.classOf[unit]!;
    const next = this.#moves[state]![unitClass]!;
    return next === UNKNOWN ? this.#move(state, unitClass) : next;
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
