import type { Id } from '../ids.ts';

/** What a file of captions says of its images, in the order of its images. */
export interface CaptionAnnotations {
  /** What people said of each image: what `evaluateCaptions` takes. An image without captions has an empty list. */
  readonly references: Map<Id, string[]>;
  /** The same images, with the name of the file where the annotations have it: `val2014/COCO_val2014_000000000042.jpg`. */
  readonly images: Map<Id, { readonly fileName?: string }>;
  /** NoCaps: `in-domain`, `near-domain` or `out-domain`. Absent in files that have no domains. */
  readonly domains?: Map<Id, string>;
}

/** An image, as the formats have it in one place. */
export interface CaptionedImage {
  readonly id: Id;
  readonly fileName?: string;
  readonly domain?: string;
  readonly captions: readonly string[];
}

/** An error about what is wrong, with the name of the file or the function before it. */
export type Fail = (what: string) => Error;

/** Brings together images and captions, in whatever order they come. */
export class CaptionCollector {
  readonly #references = new Map<Id, string[]>();
  readonly #images = new Map<Id, { readonly fileName?: string }>();
  readonly #domains = new Map<Id, string>();
  readonly #loose: (readonly [imageId: Id, caption: string])[] = [];

  /** @throws what `fail` makes of an image that comes twice. */
  add({ id, fileName, domain, captions }: CaptionedImage, fail: Fail): void {
    if (typeof id !== 'number' && typeof id !== 'string')
      throw fail(
        `an image has the id ${JSON.stringify(id)}, expected a number or a text. Check the names of the keys, or correct it.`,
      );
    if (this.#references.has(id))
      throw fail(`image ${JSON.stringify(id)} comes twice, expected every image once. Remove one of the two entries.`);
    this.#references.set(id, [...captions]);
    this.#images.set(id, fileName === undefined ? {} : { fileName });
    if (domain !== undefined) this.#domains.set(id, domain);
  }

  /** A caption whose image may come later. Those of images that never come are left out, as by the official tools. */
  addCaption(imageId: Id, caption: string): void {
    this.#loose.push([imageId, caption]);
  }

  finish(): CaptionAnnotations {
    for (const [imageId, caption] of this.#loose) this.#references.get(imageId)?.push(caption);
    return {
      references: this.#references,
      images: this.#images,
      ...(this.#domains.size === 0 ? {} : { domains: this.#domains }),
    };
  }
}
