import { caption } from 'blip2/node';
import { defineCommand, type Command } from '../command.ts';
import { eachImage } from '../each-image.ts';
import { GENERATION_OPTIONS, generateOptions } from '../generation-options.ts';
import { listImages } from '../images.ts';
import { loadModel } from '../session.ts';

export const captionCommand: Command = defineCommand({
  name: 'caption',
  usage: 'caption IMAGE… [options]',
  description: 'Describes images: files, URLs, or folders of images.',
  options: {
    prompt: { type: 'text', hint: 'TEXT', description: 'text that the caption continues, passed as it is', default: '' },
    ...GENERATION_OPTIONS,
  },
  async run(positionals, values, session) {
    const images = await listImages(positionals);
    using model = await loadModel(values, session, { writesText: true });
    const options = { prompt: values.prompt, ...generateOptions(values), abortSignal: session.abortSignal };
    return await eachImage(images, session, async (image) => {
      const [written] = await caption(model, image, options);
      const { text, tokenIds, score, sequences } = written!;
      const fields = { image, text, tokenIds, score, ...(sequences.length > 1 ? { sequences } : {}) };
      const texts = sequences.map((sequence) => sequence.text).join('\n');
      session.output.result(fields, images.length > 1 ? `${image}: ${texts}` : texts);
    });
  },
});
