import { InputError } from '@blip2/core/errors';
import type { Id } from '../ids.ts';
import { evaluateCaptions } from './evaluate.ts';
import type { CaptionEvaluation, CaptionInput } from './evaluate.ts';

/** A set of NoCaps images that is scored on its own. */
export type NoCapsDomain = 'in-domain' | 'near-domain' | 'out-domain' | 'entire';

const DOMAINS: readonly NoCapsDomain[] = ['in-domain', 'near-domain', 'out-domain'];

/** What NoCaps is scored by: `readCaptionAnnotations` and `cocoAnnotations` give it. */
export interface NoCapsAnnotations {
  readonly references: ReadonlyMap<Id, readonly string[]>;
  /** Of each image. */
  readonly domains?: ReadonlyMap<Id, string>;
}

/**
 * The images of each domain of NoCaps, and all of them as `entire`. Domains without images are left out.
 *
 * @throws {InputError} when an image has no domain: older files lack it.
 */
export function noCapsDomains({ references, domains }: NoCapsAnnotations): Map<NoCapsDomain, Id[]> {
  const images = [...references.keys()];
  const wrong = images.find((id) => !DOMAINS.includes(domains?.get(id) as NoCapsDomain));
  if (wrong !== undefined)
    throw new InputError(
      `noCapsDomains: image ${wrong} has the domain ${JSON.stringify(domains?.get(wrong))}, expected ${DOMAINS.join(', ')}. ` +
        `Take nocaps_val_4500_captions.json; older files have no domains.`,
    );
  const byDomain = Map.groupBy(images, (id) => domains!.get(id) as NoCapsDomain);
  return new Map([
    ...DOMAINS.filter((domain) => byDomain.has(domain)).map((domain) => [domain, byDomain.get(domain)!] as const),
    ['entire', images] as const,
  ]);
}

/**
 * NoCaps: a separate evaluation of each domain and of all images. Nothing is averaged over domains: document frequencies and counts are those of
 * the images scored.
 *
 * @throws {InputError} as `evaluateCaptions`, and when an image has no domain.
 *
 * Source: Agrawal et al., nocaps (arXiv 1812.08658); LAVIS, which restricts the COCO evaluation to the ids of a domain.
 */
export function evaluateNoCaps({
  references,
  domains,
  ...input
}: NoCapsAnnotations & Omit<CaptionInput, 'references' | 'images'>): Map<NoCapsDomain, CaptionEvaluation> {
  return new Map(
    [...noCapsDomains({ references, domains })].map(([domain, images]) => [
      domain,
      evaluateCaptions({ ...input, references, images }),
    ]),
  );
}
