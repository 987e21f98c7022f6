// Words that Snowball's English stemmer treats in a way of their own. See NOTICE.

/** Words and their stems. */
export const STEM_EXCEPTIONS = `
  skis:ski skies:sky dying:die lying:lie tying:tie idly:idl gently:gentl ugly:ugli early:earli only:onli singly:singl
  sky:sky news:news howe:howe atlas:atlas cosmos:cosmos bias:bias andes:andes
`;

/** Words that are stems once their plural is gone. */
export const STEMS_KEPT = `
  inning outing canning herring earring proceed exceed succeed
`;
