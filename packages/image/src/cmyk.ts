/**
 * Ink to light by Pillow's formula, without a colour profile: `255 − k − c·(255 − k)/255`, rounded.
 *
 * @param cmyk - Four bytes a pixel, 255 is full ink.
 * @returns three bytes a pixel.
 *
 * Source: Pillow `Convert.c`, `cmyk2rgb`.
 */
export function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4) {
    const light = 255 - cmyk[from + 3]!;
    for (let ink = 0; ink < 3; ink++) {
      const scaled = cmyk[from + ink]! * light + 128;
      rgb[to++] = light - (((scaled >> 8) + scaled) >> 8); // a rounded division by 255
    }
  }
  return rgb;
}
