import { match } from 'blip2/node';
import { UsageError } from '../command-line.ts';
import { defineCommand, type Command } from '../command.ts';
import { eachImage } from '../each-image.ts';
import { listImages } from '../images.ts';
import { loadModel } from '../session.ts';

export const matchCommand: Command = defineCommand({
  name: 'match',
  usage: 'match IMAGE… --text TEXT… [options]',
  description: 'Says how well each text fits each image: probability of a match (itm) and cosine similarity (itc).',
  options: { text: { type: 'texts', hint: 'TEXT…', description: 'one text or several' } },
  async run(positionals, values, session) {
    const texts = values.text;
    if (texts.length === 0) throw new UsageError('No text was given: blip2 match IMAGE… --text TEXT….');
    const images = await listImages(positionals);
    using model = await loadModel(values, session, { writesText: false });
    return await eachImage(images, session, async (image) => {
      const [scores] = await match(model, image, texts, { abortSignal: session.abortSignal });
      for (const [index, { itm, itc }] of scores!.entries()) {
        const text = texts[index]!;
        session.output.result(
          { image, text, itm, itc },
          `${(100 * itm).toFixed(1).padStart(5)} %  cosine ${itc.toFixed(4)}  ${image}  ${text}`,
        );
      }
    });
  },
});
