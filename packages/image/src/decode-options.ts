/** Options of `decodeImage`. */
export interface DecodeImageOptions {
  /**
   * `'apply'` turns a photo the way its EXIF orientation says, as viewers and the reference's file loader do; `'ignore'`
   * leaves it as stored, as the reference's image processor does with an image that is already open. @default 'apply'
   */
  readonly exifOrientation?: 'apply' | 'ignore';
  /** What messages call the image, where its bytes do not say. @default the path or URL, or how many bytes there are */
  readonly name?: string;
  /** Images with more pixels are refused before anything is decoded. @default 178_956_970, where Pillow refuses */
  readonly maxPixels?: number;
  /** Files and downloads with more bytes are refused. @default 268_435_456 (256 MiB) */
  readonly maxBytes?: number;
  /** Stops reading and downloading; the call rejects with the signal's reason. */
  readonly abortSignal?: AbortSignal;
  /** Replaces the global `fetch` for http(s), data and blob URLs. */
  readonly fetch?: typeof fetch;
}

/** Twice Pillow's `Image.MAX_IMAGE_PIXELS`: from there on it raises `DecompressionBombError`. */
export const DEFAULT_MAX_PIXELS = 178_956_970;

export const DEFAULT_MAX_BYTES: number = 256 * 2 ** 20;
