import { search } from 'blip2/node';
import { UsageError } from '../command-line.ts';
import { defineCommand, type Command } from '../command.ts';
import { listImages } from '../images.ts';
import { loadModel } from '../session.ts';

export const searchCommand: Command = defineCommand({
  name: 'search',
  usage: 'search FOLDER --text TEXT [options]',
  description: 'Ranks the images of a folder by how well they fit a text: cosine similarity first, then matching of the best.',
  options: {
    text: { type: 'text', hint: 'TEXT', description: 'what to look for' },
    rerank: {
      type: 'integer',
      hint: 'K',
      min: 0,
      description: 'how many of the nearest the matching head re-ranks',
      default: 128,
    },
    limit: { type: 'integer', hint: 'N', min: 1, description: 'how many results to print; all when absent' },
  },
  async run(positionals, values, session) {
    const { text, limit, rerank } = values;
    if (text === undefined || text.trim() === '') throw new UsageError('Nothing to search for: blip2 search FOLDER --text TEXT.');
    const images = await listImages(positionals);
    using model = await loadModel(values, session, { writesText: false });
    const onImage = (index: number, total: number): void =>
      session.output.progress(`${index + 1} of ${total}`, (index + 1) / total);
    const hits = await search(model, images, text, { rerank, abortSignal: session.abortSignal, onImage });
    for (const { rank, index, score } of hits.slice(0, limit)) {
      const image = images[index]!;
      session.output.result({ rank, image, score }, `${String(rank).padStart(3)}  ${score.toFixed(4).padStart(9)}  ${image}`);
    }
    return 0;
  },
});
