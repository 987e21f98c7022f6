import manifest from '../../package.json' with { type: 'json' };

/** Version of this package, as written into models. The bundler puts the number in the place of the import. */
export const PRODUCER_VERSION: string = manifest.version;
