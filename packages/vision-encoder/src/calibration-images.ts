import { CLIP_MEAN, CLIP_STANDARD_DEVIATION, type HostTensor, type Random, seededRandom } from '@blip2/core';

/** Values from 0 to 1, `[size, size, 3]`, to be painted over. */
type Picture = Float32Array<ArrayBuffer>;

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
  const pictures = [
    softField(imageSize, random),
    paintShapes(softField(imageSize, random), imageSize, random),
    addNoise(softField(imageSize, random), imageSize, random),
    page(imageSize, random),
  ];
  const length = imageSize * imageSize * 3;
  const data = new Float32Array(pictures.length * length);
  for (const [index, picture] of pictures.entries()) {
    for (let place = 0; place < length; place++) {
      const channel = place % 3;
      data[index * length + place] =
        (Math.min(1, Math.max(0, picture[place]!)) - CLIP_MEAN[channel]!) / CLIP_STANDARD_DEVIATION[channel]!;
    }
  }
  return { shape: [pictures.length, imageSize, imageSize, 3], data };
}

/** Slow waves of colour, as sky, walls and skin. */
function softField(size: number, random: Random): Picture {
  const picture = new Float32Array(size * size * 3);
  const base = [random(), random(), random()];
  for (let place = 0; place < picture.length; place++) picture[place] = 0.25 + 0.5 * base[place % 3]!;
  for (let wave = 0; wave < 5; wave++) {
    const [stepX, stepY] = [(10 * Math.PI * (random() - 0.5)) / size, (10 * Math.PI * (random() - 0.5)) / size];
    for (let channel = 0; channel < 3; channel++) {
      const phase = 2 * Math.PI * random();
      const rows = Array.from({ length: size }, (_, row) => [Math.cos(stepY * row), Math.sin(stepY * row)] as const);
      const columns = Array.from({ length: size }, (_, x) => [Math.cos(stepX * x + phase), Math.sin(stepX * x + phase)] as const);
      let place = channel;
      for (const [cosY, sinY] of rows) {
        for (const [cosX, sinX] of columns) {
          picture[place]! += 0.12 * (cosX * cosY - sinX * sinY); // the cosine of the sum
          place += 3;
        }
      }
    }
  }
  return picture;
}

/** Discs and boxes of one colour with hard edges. @param picture - Changed in place. */
function paintShapes(picture: Picture, size: number, random: Random): Picture {
  for (let shape = 0; shape < 14; shape++) {
    const [centerX, centerY] = [size * random(), size * random()];
    const radius = size * (0.03 + 0.2 * random());
    const color = [random(), random(), random()];
    for (let y = Math.max(0, Math.ceil(centerY - radius)); y < Math.min(size, centerY + radius); y++) {
      for (let x = Math.max(0, Math.ceil(centerX - radius)); x < Math.min(size, centerX + radius); x++) {
        if (shape % 2 === 0 && (x - centerX) ** 2 + (y - centerY) ** 2 > radius ** 2) continue;
        picture.set(color, 3 * (y * size + x));
      }
    }
  }
  return picture;
}

/** Texture of every fineness down to single pixels, as grass and cloth. @param picture - Changed in place. */
function addNoise(picture: Picture, size: number, random: Random): Picture {
  for (const cells of [8, 32, 128, 512]) {
    const values = Float32Array.from({ length: cells * cells }, () => 0.35 * (random() - 0.5));
    let place = 0;
    for (let y = 0; y < size; y++) {
      const row = Math.floor((y * cells) / size) * cells;
      for (let x = 0; x < size; x++) {
        const value = values[row + Math.floor((x * cells) / size)]!;
        for (let channel = 0; channel < 3; channel++) picture[place++]! += value;
      }
    }
  }
  return picture;
}

/** Black lines of marks on white, and one black side: the extremes that pixels have. */
function page(size: number, random: Random): Picture {
  const [lines, places] = [40, 80];
  const marks = Array.from({ length: lines * places }, (_, index) => Math.floor(index / places) % 2 === 0 && random() < 0.5);
  const picture = new Float32Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    const line = Math.floor((y * lines) / size) * places;
    for (let x = 0; x < 0.75 * size; x++) {
      const isMark = marks[line + Math.floor((x * places) / size)]!;
      picture.fill(isMark ? 0 : 1, 3 * (y * size + x), 3 * (y * size + x + 1));
    }
  }
  return picture;
}
