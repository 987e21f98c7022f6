import { InputError } from '@blip2/core/errors';
import type { Id } from '../ids.ts';
import { evaluateCaptions } from './evaluate.ts';
import type { CaptionEvaluation, CaptionInput } from './evaluate.ts';
import { cocoReferences } from './files.ts';
import type { CocoCaptionFile } from './files.ts';

/** A set of NoCaps images that is scored on its own. */
export type NoCapsDomain = 'in-domain' | 'near-domain' | 'out-domain' | 'entire';

const DOMAINS: readonly NoCapsDomain[] = ['in-domain', 'near-domain', 'out-domain'];

/**
 * The images of each domain of a NoCaps annotation file, and all of them as `entire`. Domains without images are left out.
 *
 * @throws {InputError} when an image has no domain: older files lack it.
 */
export function noCapsDomains({ images }: CocoCaptionFile): Map<NoCapsDomain, Id[]> {
  const wrong = images.find(({ domain }) => !DOMAINS.includes(domain as NoCapsDomain));
  if (wrong !== undefined)
    throw new InputError(
      `noCapsDomains: image ${wrong.id} has the domain ${JSON.stringify(wrong.domain)}, expected ${DOMAINS.join(', ')}. ` +
        `Take nocaps_val_4500_captions.json; older files have no domains.`,
    );
  const byDomain = Map.groupBy(images, ({ domain }) => domain as NoCapsDomain);
  const ids = (some: CocoCaptionFile['images']): Id[] => some.map(({ id }) => id);
  return new Map([
    ...DOMAINS.filter((domain) => byDomain.has(domain)).map((domain) => [domain, ids(byDomain.get(domain)!)] as const),
    ['entire', ids(images)] as const,
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
  annotations,
  ...input
}: { readonly annotations: CocoCaptionFile } & Omit<CaptionInput, 'references' | 'images'>): Map<
  NoCapsDomain,
  CaptionEvaluation
> {
  const references = cocoReferences(annotations);
  return new Map(
    [...noCapsDomains(annotations)].map(([domain, images]) => [domain, evaluateCaptions({ ...input, references, images })]),
  );
}
