import flanT5Xl from './presets/blip2-flan-t5-xl.json' with { type: 'json' };
import flanT5XlCoco from './presets/blip2-flan-t5-xl-coco.json' with { type: 'json' };
import flanT5Xxl from './presets/blip2-flan-t5-xxl.json' with { type: 'json' };
import itmVitG from './presets/blip2-itm-vit-g.json' with { type: 'json' };
import itmVitGCoco from './presets/blip2-itm-vit-g-coco.json' with { type: 'json' };
import opt2p7b from './presets/blip2-opt-2.7b.json' with { type: 'json' };
import opt2p7bCoco from './presets/blip2-opt-2.7b-coco.json' with { type: 'json' };
import opt6p7b from './presets/blip2-opt-6.7b.json' with { type: 'json' };
import opt6p7bCoco from './presets/blip2-opt-6.7b-coco.json' with { type: 'json' };

/** The names of the published checkpoints, under `Salesforce/` on the Hub. */
export type OfficialModel =
  | 'blip2-opt-2.7b'
  | 'blip2-opt-2.7b-coco'
  | 'blip2-opt-6.7b'
  | 'blip2-opt-6.7b-coco'
  | 'blip2-flan-t5-xl'
  | 'blip2-flan-t5-xl-coco'
  | 'blip2-flan-t5-xxl'
  | 'blip2-itm-vit-g'
  | 'blip2-itm-vit-g-coco';

/**
 * `config.json` of each published checkpoint, current generation (image token, padded vocabulary), with the library's
 * defaults written out. Raw: `parseBlip2Config` checks and types them.
 */
export const BLIP2_CONFIGS: Readonly<Record<OfficialModel, unknown>> = {
  'blip2-opt-2.7b': opt2p7b,
  'blip2-opt-2.7b-coco': opt2p7bCoco,
  'blip2-opt-6.7b': opt6p7b,
  'blip2-opt-6.7b-coco': opt6p7bCoco,
  'blip2-flan-t5-xl': flanT5Xl,
  'blip2-flan-t5-xl-coco': flanT5XlCoco,
  'blip2-flan-t5-xxl': flanT5Xxl,
  'blip2-itm-vit-g': itmVitG,
  'blip2-itm-vit-g-coco': itmVitGCoco,
};

/** The published checkpoint that a name means, with or without `Salesforce/`. */
export function officialModel(name: string): OfficialModel | undefined {
  const short = name.replace(/^Salesforce\//, '');
  return short in BLIP2_CONFIGS ? (short as OfficialModel) : undefined;
}
