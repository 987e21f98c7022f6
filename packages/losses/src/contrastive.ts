import { contrastiveSimilarity, InputError, meanCrossEntropy, querySimilarity, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/** What contrast compares: row i of both belongs together. All L2-normalised. */
export interface ContrastiveFeatures {
  readonly images: Tensor3D; //                  [batch, queries, width]
  readonly texts: Tensor2D; //                   [batch, width]
}

/** Features of all workers, those of this one included. Constants: the gradient of a worker goes through its own features. */
export interface GatheredFeatures extends ContrastiveFeatures {
  /** Where this worker's rows begin. */
  readonly offset: number;
}

/** Which picture each row shows, for batches with several texts of one picture. */
export interface ImageIds {
  readonly own: Tensor1D; //                     int32 [batch]
  /** Of all workers. @default own */
  readonly all?: Tensor1D; //                    int32 [all]
}

/** What {@link contrastiveLoss} does besides comparing rows of one batch. */
export interface ContrastiveOptions {
  readonly gathered?: GatheredFeatures;
  /** Pairs with equal ids belong together as well. @default each row belongs to itself alone */
  readonly imageIds?: ImageIds;
  /** The share of the probability that is spread over all candidates. @default 0.1 */
  readonly labelSmoothing?: number;
  /** Which queries speak for an image: the one that fits best, or all. @default 'max' */
  readonly pooling?: 'max' | 'mean';
}

/** The loss, and the similarities that it was computed from, for the choice of hard negatives. */
export interface ContrastiveLoss {
  readonly loss: Scalar; //                      in nats
  readonly imageToText: Tensor2D; //             [batch, all], divided by the temperature
  readonly textToImage: Tensor2D; //             [batch, all], divided by the temperature
}

/**
 * Image-text contrast (ITC): each image must find its text among all, and each text its image. The similarity of a pair is the
 * largest cosine that any query has with the text.
 *
 * @param temperature - A learned scalar that divides similarities; 0.07 at first.
 * @returns new tensors, the caller's; differentiable in the features and the temperature.
 * @throws {InputError} when images and texts are not equally many.
 *
 * @example
 * const { loss, imageToText } = contrastiveLoss({ images, texts }, temperature);
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2; LAVIS `blip2_qformer.py`.
 */
export function contrastiveLoss(
  features: ContrastiveFeatures,
  temperature: Scalar,
  { gathered, imageIds, labelSmoothing = 0.1, pooling = 'max' }: ContrastiveOptions = {},
): ContrastiveLoss {
  assertPairs(features);
  const similarity = (images: Tensor3D, texts: Tensor2D): Tensor2D => {
    const cosines = pooling === 'max' ? contrastiveSimilarity(images, texts) : tf.mean(querySimilarity(images, texts), 2); // [images, texts]
    return tf.div(cosines, temperature);
  };
  return tidy(() => {
    const imageToText = similarity(features.images, gathered?.texts ?? features.texts); // [batch, all]
    const textToImage = tf.transpose(gathered ? similarity(gathered.images, features.texts) : imageToText) as Tensor2D; // [batch, all]
    const loss = (rows: Tensor2D): Scalar =>
      imageIds === undefined
        ? meanCrossEntropy(rows, ownLabels(features, gathered?.offset), { labelSmoothing })
        : softCrossEntropy(rows, sharedTargets(imageIds, labelSmoothing));
    return { loss: tf.div(tf.add(loss(imageToText), loss(textToImage)), 2), imageToText, textToImage };
  });
}

/** The place of each row's partner among all. @returns int32 `[batch]` */
function ownLabels({ texts }: ContrastiveFeatures, offset = 0): Tensor1D {
  return tf.range(offset, offset + texts.shape[0], 1, 'int32');
}

/** A row's probability is shared among all pairs of its picture; some of it is spread over all. @returns `[batch, all]` */
function sharedTargets({ own, all = own }: ImageIds, labelSmoothing: number): Tensor2D {
  const same = samePicture(own, all); // [batch, all]
  const shared = tf.div(same, tf.sum(same, 1, true)); // [batch, all]
  return tf.add(tf.mul(shared, 1 - labelSmoothing), labelSmoothing / all.shape[0]); // [batch, all]
}

/** 1 where ids are equal, else 0. @returns `[own, all]` */
export function samePicture(own: Tensor1D, all: Tensor1D): Tensor2D {
  return tidy(() => tf.cast(tf.equal(tf.expandDims(own, 1), tf.expandDims(all, 0)), 'float32') as Tensor2D); // [own, all]
}

/** Mean over rows of −Σ target·log softmax(row). */
function softCrossEntropy(rows: Tensor2D, targets: Tensor2D): Scalar {
  // Not tf.logSoftmax, of which the wasm backend of tfjs 4.22 keeps a tensor.
  const logs = tf.sub(rows, tf.logSumExp(rows, 1, true)); // [rows, columns]
  return tf.neg(tf.mean(tf.sum(tf.mul(targets, logs), 1)));
}

function assertPairs({ images, texts }: ContrastiveFeatures): void {
  if (images.shape[0] === texts.shape[0]) return;
  throw new InputError(
    `contrastiveLoss: got ${images.shape[0]} images and ${texts.shape[0]} texts, expected as many of both: row i of one belongs to row i of the other.`,
  );
}
