// Encodes and decodes with a checkpoint's tokenizer:
//
//   node examples/basic.ts [FOLDER] [TEXT]
//
// Without a folder it makes a small BERT vocabulary.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTextStream, createTokenizer, encodeBatch, loadTokenizer, processCaption } from '@blip2/tokenizers';

const [folder, text = 'Two dogs, playing on the beach!'] = process.argv.slice(2);
const pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'two', 'dog', '##s', 'play', '##ing', 'on', 'the', 'beach', ',', '!'];

const tokenizer =
  folder === undefined
    ? createTokenizer({ 'vocab.txt': new TextEncoder().encode(pieces.join('\n')) })
    : await loadTokenizer({ name: folder, readFile: (name) => readFile(join(folder, name)).catch(() => undefined) });

const ids = tokenizer.encode(text);
console.log(`${tokenizer.vocabSize} tokens; ids of the text:`, ids.join(' '));
console.log('decoded:', tokenizer.decode(ids));
console.log('as a caption for training:', processCaption(text));
console.log('a batch:', JSON.stringify(encodeBatch(tokenizer, [text, 'two'], { maxLength: 6 })));

const stream = createTextStream(tokenizer);
console.log('token by token:', ids.map((id) => stream.push(id)).concat(stream.flush()).join('|')); // prettier-ignore
