export { type FileSelection, isModelFile } from './file-names.ts';
export { defaultCacheFolder, HUB_ENDPOINT, type HubOptions } from './hub-settings.ts';
export { OFFICIAL_REPOSITORIES, type OfficialRepository, type OfficialRepositoryId } from './official-repositories.ts';
export { isRepositoryId } from './repository-id.ts';
export { resolveRepository } from './resolve-repository.ts';
