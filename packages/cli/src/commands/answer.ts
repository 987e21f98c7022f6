import { answer } from 'blip2/node';
import { UsageError } from '../command-line.ts';
import { defineCommand, type Command } from '../command.ts';
import { GENERATION_OPTIONS, generateOptions } from '../generation-options.ts';
import { loadModel } from '../session.ts';

export const answerCommand: Command = defineCommand({
  name: 'answer',
  usage: 'answer IMAGE --question TEXT [options]',
  description: 'Answers a question about an image.',
  options: {
    question: { type: 'text', hint: 'TEXT', description: 'what to ask' },
    template: {
      type: 'text',
      hint: 'TEXT',
      description: "text around the question, with {} in its place; default: the model family's",
    },
    rawQuestion: { type: 'flag', description: 'keep capitals and punctuation of the question' },
    ...GENERATION_OPTIONS,
  },
  async run(positionals, values, session) {
    const [image, ...more] = positionals;
    if (image === undefined) throw new UsageError('No image was named: blip2 answer IMAGE --question TEXT.');
    if (more.length > 0)
      throw new UsageError(
        `answer takes one image, but ${positionals.length} were named ('${more[0]}' too). Put quotes around the question.`,
      );
    const { question } = values;
    if (question === undefined) throw new UsageError('No question was asked: blip2 answer IMAGE --question TEXT.');
    if (question.trim() === '') throw new UsageError("--question is empty. Ask something, such as 'what is in the picture?'.");
    using model = await loadModel(values, session, { writesText: true });
    const template = values.template === undefined ? {} : { template: values.template };
    const options = {
      ...template,
      ...generateOptions(values),
      normalizeQuestion: !values.rawQuestion,
      abortSignal: session.abortSignal,
    };
    const [given] = await answer(model, image, question, options);
    const { text, score, sequences } = given!;
    const fields = { image, question, answer: text, score, ...(sequences.length > 1 ? { sequences } : {}) };
    session.output.result(fields, sequences.map((sequence) => sequence.text).join('\n'));
    return 0;
  },
});
