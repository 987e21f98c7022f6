import { writeSafetensorsFile } from '@blip2/checkpoints/node';
import { type Blip2, embedImages, embedTexts } from 'blip2/node';
import { UsageError } from '../command-line.ts';
import { defineCommand, type Command } from '../command.ts';
import { eachImage } from '../each-image.ts';
import { listImages } from '../images.ts';
import { loadModel, type Session } from '../session.ts';

/** Vectors of one input, `[rows, width]`: the queries of an image, or one row for a text. */
interface Embedding {
  readonly input: string;
  readonly shape: readonly [number, number];
  readonly values: Float32Array;
}

export const embedCommand: Command = defineCommand({
  name: 'embed',
  usage: 'embed IMAGE… | --text TEXT… --out FILE.safetensors [options]',
  description:
    'Writes contrastive embeddings: image_embeds [images, queries, width] and text_embeds [texts, width], L2-normalised.',
  options: {
    text: { type: 'texts', hint: 'TEXT…', description: 'texts to embed' },
    out: { type: 'text', hint: 'FILE', description: 'safetensors file to write' },
  },
  async run(positionals, values, session) {
    const { out, text } = values;
    if (out === undefined || out === '') throw new UsageError('No file to write was named: pass --out FILE.safetensors.');
    if (positionals.length === 0 && text.length === 0)
      throw new UsageError('Nothing to embed: name images, or pass --text TEXT….');
    const files = positionals.length === 0 ? [] : await listImages(positionals);
    using model = await loadModel(values, session, { writesText: false });
    const images: Embedding[] = [];
    const code = await eachImage(files, session, async (image) => void images.push(await embedImage(model, image, session)));
    const texts = text.length === 0 ? [] : await embedEachText(model, text, session);
    const tensors = [...joined('image_embeds', images, true), ...joined('text_embeds', texts, false)];
    const metadata = { images: JSON.stringify(images.map(({ input }) => input)), texts: JSON.stringify(text) };
    await writeSafetensorsFile(out, tensors, { metadata });
    for (const { input, shape } of [...images, ...texts]) {
      const reported = shape[0] === 1 && texts.length > 0 && text.includes(input) ? [shape[1]] : shape;
      session.output.result({ input, shape: reported }, `${input}  [${reported.join(', ')}]`);
    }
    session.output.note(`Wrote ${tensors.map(({ name, shape }) => `${name} [${shape.join(', ')}]`).join(' and ')} to ${out}.`);
    return code;
  },
});

async function embedImage(model: Blip2, image: string, { abortSignal }: Session): Promise<Embedding> {
  const queries = await embedImages(model, image, { abortSignal }); // [1, queries, width]
  const values = (await queries.data()) as Float32Array;
  queries.dispose();
  return { input: image, shape: [queries.shape[1], queries.shape[2]], values };
}

async function embedEachText(model: Blip2, texts: readonly string[], { abortSignal }: Session): Promise<Embedding[]> {
  const features = await embedTexts(model, texts, { abortSignal }); // [texts, width]
  const values = (await features.data()) as Float32Array;
  features.dispose();
  const width = features.shape[1];
  return texts.map((input, index) => ({ input, shape: [1, width], values: values.slice(index * width, (index + 1) * width) }));
}

/** One tensor of all inputs' vectors; none when there are no inputs. */
function joined(
  name: string,
  embeddings: readonly Embedding[],
  keepRows: boolean,
): { name: string; shape: number[]; values: Float32Array }[] {
  const first = embeddings[0];
  if (first === undefined) return [];
  const values = new Float32Array(embeddings.length * first.values.length);
  embeddings.forEach((embedding, index) => values.set(embedding.values, index * first.values.length));
  return [{ name, shape: keepRows ? [embeddings.length, ...first.shape] : [embeddings.length, first.shape[1]], values }];
}
