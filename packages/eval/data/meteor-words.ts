// Which words, characters and endings METEOR 1.5 treats in a way of their own in English. See NOTICE.

/** Words that count less: of them there are many in any text. */
export const FUNCTION_WORDS = `
  the , . to of and a in that for " is on 's it with was as said at he by be from have has are his but an this not i will ’
  they ) -rrb- ( -lrb- who their had we which were been more or s its would about new one after you : also up when there
  than $ all out her people she year two - can if last first “ over other ” into some what so -- no time years could ? 't —
  '
`;

/** Words that keep their period. */
export const KEEP_PERIOD = `
  A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl
  DR Dr Drs Ens Gen Gov Hon Hr Hosp Insp Lt MM MR MRS MS Maj Messrs Mlle Mme Mr Mrs Ms Msgr Op Ord Pfc Ph Prof Pvt Rep Reps
  Res Rev Rt Sen Sens Sfc Sgt Sr St Supt Surg v vs i.e rev e.g Nos Nr
`;

/** Words that keep their period before a digit. */
export const KEEP_PERIOD_BEFORE_DIGIT = 'No Art pp';

/** Letters, as the inside of a set of a regular expression. */
export const LETTERS =
  '\\u0041-\\u005a\\u0061-\\u007a\\u0160\\u017d\\u0161\\u017e\\u0178\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u017e\\u0400-\\u04ff\\u0500-\\u0527\\ua640-\\ua66e\\ua67e-\\ua697\\u1d00-\\u1d7f';

/** Spaces, likewise. */
export const SPACES = '\\u0020\\u2000-\\u200a\\u202f\\u205f\\u3000\\u00a0';

/** Ends of inflected forms and, after the colon, what a base form has in their place: nouns, verbs, adjectives. The first that fits counts. */
export const INFLECTIONS = `
  s: ses:s xes:x zes:z ches:ch shes:sh men:man ies:y
  s: ies:y es:e es: ed:e ed: ing:e ing:
  er: est: er:e est:e
`;
