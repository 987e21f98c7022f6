import { readGolden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { captioningLoss, captionTargets } from './captioning.ts';
import { type ContrastiveFeatures, contrastiveLoss, type ImageIds } from './contrastive.ts';
import { negativeWeights } from './hard-negatives.ts';
import { matchingBatch, matchingLabels, matchingLoss } from './matching.ts';

const golden = readGolden('models/stage1');
const features = (): ContrastiveFeatures => ({
  images: golden.tensor<tf.Rank.R3>('itc.image_feats'),
  texts: golden.tensor<tf.Rank.R2>('itc.text_feat'),
});
const temperature = tf.scalar(0.07);
const { losses, image_id_variant: variant } = golden.json;

describe('stage 1, as the reference computes it', () => {
  it('contrast, and the similarities behind it', () => {
    const { loss, imageToText, textToImage } = contrastiveLoss(features(), temperature);
    expect(imageToText).toBeAllclose(golden.get('itc.sim_i2t'), TOLERANCE.activations);
    expect(textToImage).toBeAllclose(golden.get('itc.sim_t2i'), TOLERANCE.activations);
    expect(loss.dataSync()[0]).toBeCloseTo(losses.loss_itc, 5);
  });

  it('contrast of a batch in which two rows show one picture', () => {
    const imageIds: ImageIds = { own: tf.tensor1d(variant.image_id, 'int32') };
    expect(contrastiveLoss(features(), temperature, { imageIds }).loss.dataSync()[0]).toBeCloseTo(variant.losses.loss_itc, 5);
  });

  it('probabilities of negatives', () => {
    const { imageToText, textToImage } = contrastiveLoss(features(), temperature);
    expect(negativeWeights(imageToText)).toBeAllclose(golden.get('itm.weights_i2t'), TOLERANCE.activations);
    expect(negativeWeights(textToImage)).toBeAllclose(golden.get('itm.weights_t2i'), TOLERANCE.activations);
    const imageIds: ImageIds = { own: tf.tensor1d(variant.image_id, 'int32') };
    expect(negativeWeights(imageToText, { imageIds })).toBeAllclose(golden.get('image_id.weights_i2t'), TOLERANCE.activations);
    expect(negativeWeights(textToImage, { imageIds })).toBeAllclose(golden.get('image_id.weights_t2i'), TOLERANCE.activations);
  });

  it('matching: the batch of three kinds of pairs, its labels and loss', () => {
    const pairs = {
      images: golden.tensor<tf.Rank.R3>('image_embeds'),
      ids: golden.tensor<tf.Rank.R2>('input_ids'),
      mask: golden.tensor<tf.Rank.R2>('attention_mask'),
    };
    const [images, texts] = ['itm.negative_image_index', 'itm.negative_text_index'].map((name) =>
      golden.tensor<tf.Rank.R1>(name),
    );
    const batch = matchingBatch(pairs, { imageForEachText: images!, textForEachImage: texts! });
    const wrongImages = tf.gather(pairs.images, images!);
    expect(batch.images).toBeAllclose(tf.concat([pairs.images, wrongImages, pairs.images]), 0);
    expect(batch.ids).toBeAllclose(tf.concat([pairs.ids, pairs.ids, tf.gather(pairs.ids, texts!)]), 0);
    expect(batch.mask).toBeAllclose(tf.concat([pairs.mask, pairs.mask, tf.gather(pairs.mask, texts!)]), 0);
    expect(matchingLabels(4)).toBeAllclose(golden.get('itm.labels'), 0);
    const loss = matchingLoss(golden.tensor('itm.logits'), matchingLabels(4));
    expect(loss.dataSync()[0]).toBeCloseTo(losses.loss_itm, 5);
  });

  it('captioning: what is read, what is predicted, and its loss', () => {
    const tokens = { begin: golden.json.qformer_captioning.greedy_ids[0][0], pad: 0 };
    const { inputs, labels } = captionTargets(golden.tensor('input_ids'), tokens);
    expect(inputs).toBeAllclose(golden.get('itg.decoder_input_ids'), 0);
    expect(labels).toBeAllclose(golden.get('itg.labels'), 0);
    expect(captioningLoss(golden.tensor('itg.logits'), labels).dataSync()[0]).toBeCloseTo(losses.loss_lm, 4);
  });
});
