import { access } from 'node:fs/promises';
import { OFFICIAL_REPOSITORIES, openCheckpoint } from '@blip2/checkpoints/node';
import { errorCode } from '@blip2/core';
import { parseBlip2Config } from '@blip2/checkpoints';
import { BLIP2_CONFIGS, type Inspection, inspectCheckpoint, inspectConfig, officialModel } from 'blip2/node';
import { defineCommand, type Command } from '../command.ts';
import { type CommonValues, modelNameOf, type Session } from '../session.ts';

export const inspectCommand: Command = defineCommand({
  name: 'inspect',
  usage: 'inspect [--model FOLDER|HUB-ID] [options]',
  description:
    'Shows what a model is made of: parameters, formats and bytes of each part, what is missing or unused. Downloads nothing.',
  options: {},
  async run(_, values, session) {
    const name = modelNameOf(values);
    const inspection = await inspectModel(name, values, session);
    for (const { part, parameters, trainable, storedBytes, dtypes } of inspection.parts) {
      session.output.result(
        { part, parameters, trainable, storedBytes, dtypes },
        [
          part.padEnd(20),
          number(parameters),
          trainable === 0
            ? 'frozen       '
            : trainable === parameters
              ? 'trained      '
              : `${trainable.toLocaleString('en')} trained`.padEnd(13),
          size(storedBytes),
          formats(dtypes),
        ]
          .join('  ')
          .trimEnd(),
      );
    }
    const { parameters, trainable, missing, unused } = inspection;
    const storedBytes = total(inspection);
    const licences = licencesOf(name);
    const share = `${number(trainable)}  trained (${((100 * trainable) / parameters).toFixed(2)} %)`;
    const lines = [
      `${'total'.padEnd(20)}  ${number(parameters)}                 ${size(storedBytes)}`,
      `${''.padEnd(20)}  ${share}`,
      ...(licences === undefined ? [] : [`licences: ${licences}`]),
      ...(missing.length > 0 ? [`missing: ${missing.join(', ')}`] : []),
      ...(unused.length > 0 ? [`unused: ${unused.join(', ')}`] : []),
    ];
    session.output.result(
      { part: 'total', parameters, trainable, storedBytes, licences, missing, unused },
      lines.map((line) => line.trimEnd()).join('\n'),
    );
    return 0;
  },
});

/** A folder or a cached repository as it is; a published model that is not here by its configuration. */
async function inspectModel(name: string, values: CommonValues, { abortSignal, output }: Session): Promise<Inspection> {
  const official = officialModel(name);
  const isFolder = await access(name).then(
    () => true,
    () => false,
  );
  try {
    const checkpoint = await openCheckpoint(name, { revision: values.revision, offline: true, abortSignal });
    try {
      return await inspectCheckpoint(checkpoint);
    } finally {
      checkpoint.dispose();
    }
  } catch (cause) {
    if (isFolder || official === undefined || errorCode(cause) === undefined) throw cause;
    output.note(`${name} is not on this machine: this is what its configuration says.`);
    return inspectConfig(parseBlip2Config(BLIP2_CONFIGS[official]));
  }
}

function licencesOf(name: string): string | undefined {
  const id = officialModel(name);
  if (id === undefined) return undefined;
  const { licence, languageModelLicence, languageModel } = OFFICIAL_REPOSITORIES[`Salesforce/${id}`];
  const own = licence ?? 'not established; see its model card';
  return languageModelLicence === undefined ? own : `${own}; ${languageModel} inside: ${languageModelLicence}`;
}

function total({ parts }: Inspection): number | undefined {
  return parts.every(({ storedBytes }) => storedBytes === undefined)
    ? undefined
    : parts.reduce((sum, { storedBytes }) => sum + (storedBytes ?? 0), 0);
}

function number(value: number): string {
  return value.toLocaleString('en').padStart(14);
}

function size(bytes: number | undefined): string {
  return (bytes === undefined ? '' : `${(bytes / 1e6).toFixed(1)} MB`).padStart(12);
}

function formats(dtypes: Readonly<Record<string, number>> | undefined): string {
  return Object.keys(dtypes ?? {}).join(', ');
}
