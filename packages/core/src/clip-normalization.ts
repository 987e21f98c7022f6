/** Three numbers: red, green, blue. */
type Channels = readonly [red: number, green: number, blue: number];

/**
 * Mean of the images that CLIP was trained on, in [0, 1]; all encoders of BLIP-2 normalise with it.
 * Source: CLIP (arXiv 2103.00020), its `clip.py`; the published `preprocessor_config.json` files.
 */
export const CLIP_MEAN: Channels = [0.48145466, 0.4578275, 0.40821073];

/** Their standard deviation. */
export const CLIP_STANDARD_DEVIATION: Channels = [0.26862954, 0.26130258, 0.27577711];
