export { checkEntry, idField, placeOf, shortened, textField, textsField } from './json/check-entry.ts';
export { type FileSource, readJsonEntries, type ReadEntriesOptions } from './json/file-source.ts';
export { type JsonEntry, JsonEntryScanner, JsonProblem } from './json/json-entries.ts';
