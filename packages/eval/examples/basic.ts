// Scores of captions, of answers, and of a small search, from texts and numbers alone: node examples/basic.ts
import { captionResults, cocoAnnotations, evaluateCaptions, evaluateRetrieval, evaluateVqa } from '@blip2/eval';

// The files of COCO, read with JSON.parse: a ground truth and a result file.
const groundTruth = {
  images: [{ id: 42 }, { id: 73 }],
  annotations: [
    { image_id: 42, caption: 'A brown dog runs over the grass.' },
    { image_id: 42, caption: 'A dog is running in a field' },
    { image_id: 73, caption: 'Two red cars in front of a house' },
    { image_id: 73, caption: "A house with two cars that aren't moving." },
  ],
};
const results = [
  { image_id: 42, caption: 'a dog running on grass' },
  { image_id: 73, caption: 'two red cars in front of a house' },
];
const { references } = cocoAnnotations(groundTruth);
const { corpus, perImage } = evaluateCaptions({ references, candidates: captionResults(results) });
console.log(`CIDEr ${corpus.CIDEr.toFixed(3)}, BLEU-4 ${corpus.Bleu_4.toFixed(3)}, ROUGE-L ${corpus.ROUGE_L.toFixed(3)}`);
console.log(`CIDEr of each: ${[...perImage].map(([id, scores]) => `${id}: ${scores.CIDEr.toFixed(3)}`).join(', ')}`);

const answers = ['2', '2', '2', 'two', 'two', '3', '3', '3', '3', 'a lot'].map((answer) => ({ answer }));
const annotations = [{ question_id: 1, answer_type: 'number', answers }];
const vqa = evaluateVqa({ annotations, results: [{ question_id: 1, answer: 'Two.' }] });
console.log(`VQA accuracy ${vqa.overall.toFixed(2)} %, of numbers ${vqa.perAnswerType.get('number')?.toFixed(2)} %`);

const retrieval = evaluateRetrieval({
  imageToText: [
    [0.9, 0.2, 0.4],
    [0.3, 0.1, 0.2],
  ], // [images, captions]
  textToImage: [
    [0.9, 0.3],
    [0.2, 0.1],
    [0.4, 0.2],
  ], // [captions, images]
  captionsPerImage: [2, 1],
});
console.log(`text R@1 ${retrieval.text.r1.toFixed(1)} %, image R@1 ${retrieval.image.r1.toFixed(1)} %`);
