import { type HostTensor, type Random, seededRandom } from '@blip2/core';

/** Means and deviations of CLIP's training images, with which all encoders of BLIP-2 normalise. Source: CLIP (arXiv 2103.00020), its `clip.py`. */
const MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
const DEVIATION = [0.26862954, 0.26130258, 0.27577711] as const;

/** A colour for each place of an image: three numbers from 0 to 1 for x and y from 0 to 1. */
type Painting = (x: number, y: number, channel: number) => number;

/**
 * Made-up images with what photographs have: large soft areas, edges, fine texture, and black and white. They are for measuring how large the activations
 * of an encoder become; they show nothing, so photographs of the kind that it will see measure better.
 *
 * @param imageSize - Side in pixels.
 * @returns `[4, imageSize, imageSize, 3]`, normalised as CLIP's processor does; the same each time; the caller's.
 *
 * @example
 * const images = calibrationImages(224); // { shape: [4, 224, 224, 3], data }
 */
export function calibrationImages(imageSize: number): HostTensor {
  const random = seededRandom(224);
  const paintings = [
    softField(random),
    withShapes(softField(random), random),
    withNoise(softField(random), random),
    page(random),
  ];
  const data = new Float32Array(paintings.length * imageSize * imageSize * 3);
  let index = 0;
  for (const painting of paintings) {
    for (let row = 0; row < imageSize; row++) {
      for (let column = 0; column < imageSize; column++) {
        for (let channel = 0; channel < 3; channel++) {
          const value = painting((column + 0.5) / imageSize, (row + 0.5) / imageSize, channel);
          data[index++] = (Math.min(1, Math.max(0, value)) - MEAN[channel]!) / DEVIATION[channel]!;
        }
      }
    }
  }
  return { shape: [paintings.length, imageSize, imageSize, 3], data };
}

/** Slow waves of colour, as sky, walls and skin. */
function softField(random: Random): Painting {
  const waves = Array.from({ length: 5 }, () => ({
    x: 5 * (random() - 0.5),
    y: 5 * (random() - 0.5),
    phases: [random(), random(), random()].map((phase) => 2 * Math.PI * phase),
  }));
  const base = [random(), random(), random()];
  return (x, y, channel) => {
    const sum = waves.reduce(
      (total, wave) => total + Math.cos(2 * Math.PI * (wave.x * x + wave.y * y) + wave.phases[channel]!),
      0,
    );
    return 0.25 + 0.5 * base[channel]! + 0.12 * sum;
  };
}

/** Discs and boxes of one colour with hard edges. */
function withShapes(background: Painting, random: Random): Painting {
  const shapes = Array.from({ length: 14 }, (_, index) => ({
    x: random(),
    y: random(),
    size: 0.03 + 0.2 * random(),
    isDisc: index % 2 === 0,
    color: [random(), random(), random()],
  }));
  return (x, y, channel) => {
    const shape = shapes.findLast((one) => {
      const [dx, dy] = [Math.abs(x - one.x), Math.abs(y - one.y)];
      return one.isDisc ? Math.hypot(dx, dy) < one.size : Math.max(dx, dy) < one.size;
    });
    return shape === undefined ? background(x, y, channel) : shape.color[channel]!;
  };
}

/** Texture of every fineness down to single pixels, as grass and cloth. */
function withNoise(background: Painting, random: Random): Painting {
  const tables = [8, 32, 128, 512].map((cells) => ({
    cells,
    values: Float32Array.from({ length: cells * cells }, () => random() - 0.5),
  }));
  return (x, y, channel) => {
    const noise = tables.reduce((sum, { cells, values }) => {
      return sum + values[Math.floor(y * cells) * cells + Math.floor(x * cells)]!;
    }, 0);
    return background(x, y, channel) + 0.35 * noise;
  };
}

/** Black lines of marks on white, and one black half: the extremes that pixels have. */
function page(random: Random): Painting {
  const marks = Float32Array.from({ length: 40 * 80 }, () => random());
  return (x, y) => {
    if (x > 0.75) return 0;
    const isMark = Math.floor(y * 40) % 2 === 0 && marks[Math.floor(y * 40) * 80 + Math.floor(x * 80)]! < 0.5;
    return isMark ? 0 : 1;
  };
}
