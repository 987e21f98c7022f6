import { expect, it } from 'vitest';
import { configText } from './config-text.ts';

it('keeps the point of fractions, and is the same value', () => {
  const config = {
    initializer_factor: 1,
    layers: 2,
    text: '"initializer_factor": 1',
    vision_config: { dropout: 0, attention_dropout: 0.5, layer_norm_eps: 1e-6, hidden_dropout_prob: -0, image_size: 224 },
    list: [1, 2],
  };
  const text = configText(config);
  expect(text).toMatchInlineSnapshot(`
    "{
      "initializer_factor": 1.0,
      "layers": 2,
      "text": "\\"initializer_factor\\": 1",
      "vision_config": {
        "dropout": 0.0,
        "attention_dropout": 0.5,
        "layer_norm_eps": 0.000001,
        "hidden_dropout_prob": 0.0,
        "image_size": 224
      },
      "list": [
        1,
        2
      ]
    }
    "
  `);
  expect(JSON.parse(text)).toEqual({ ...config, vision_config: { ...config.vision_config, hidden_dropout_prob: 0 } });
});
