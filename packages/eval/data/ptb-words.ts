// Which words and characters Stanford's PTBLexer 3.4.1 treats in a way of their own, and what the COCO caption tools drop of its tokens. See NOTICE.
// Letters of words match both cases, except those after `!`.
// The final period of an abbreviation is not written.

/** List A: within sentences. Months, days, states, companies, measures, people, others. */
export const ABBREVIATIONS_INSIDE = `
  Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri Ala Ariz !Az !Ark Calif Colo Conn Ct Dak
  !Del Fla Ga !Ill Ind Kans Kan Ky !La !Mass Md Mich Minn !Miss Mo Mont Neb Nev Okla !Ore !Pa Penn Tenn !Tex Va Vt !Wash
  Wisc Wis Wyo Inc Cos Co Corp Ppt!ys Ppt!y Ppt!es Ppt!e Pt!ys Pt!y Pt!es Pt!e Ltd Plc Rt Bancorp Bhd Assn Univ Intl Sys tel
  est ext sq Jr Sr Bros Ed.D Ph.D Blvd Rd Esq etc al seq Bldg
`;

/** List B: usually followed by a name. Titles, others, departments. */
export const ABBREVIATIONS_BEFORE_NAMES = `
  Mr Mrs Ms !Miss Drs Dr Profs Prof Sens Sen Reps Rep Attys Atty Lt Col Gen Messrs Govs Gov Adm Rev Maj Sgt Cpl Pvt Capt Ste
  St Ave Pres Lieut Hon Brig Comdr Cmdr Pfc Spc Supts Supt Det Mt Ft Adj Adv Asst Assoc Ens Insp Mlle Mme Msgr Sfc vs Alex
  Wm Jos Cie a.k.a cf TREAS Ph Invt Elec Natl M!fg M!tg Dept
`;

/** List C: abbreviations directly before a digit. */
export const ABBREVIATIONS_BEFORE_NUMBERS = `
  ca figs fig prop nos no art bldg pp op
`;

/** Words that show, after an acronym and white space, that a sentence starts. */
export const SENTENCE_STARTS = `
  !About !According !Additionally !After !An !A !As !At !But !Earlier !He !Her !Here !However !If !In !It !Last !Many !More
  !Mr. !Ms. !Now !Once !One !Other !Our !She !Since !So !Some !Such !That !The !Their !Then !There !These !They !This !We
  !When !While !What !Yet !You
`;

/** Acronyms of the form X-U.S and U.S.-Y. */
export const HYPHEN_ACRONYMS = `
  Canada-U.S Sino-U.S Korean-U.S EU-U.S Japan-U.S non-U.S U.S.-U.K U.S.-U.S.S.R
`;

/** Ends of file names. */
export const FILE_EXTENSIONS = `
  bat bmp c class cgi cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl png ppt ps py sql tar txt
  wav x xml zip
`;

/** Ends of host names. */
export const HOST_SUFFIXES = `
  com net org edu
`;

/** Words that are two, and how many of their characters the second one has. */
export const ASSIMILATIONS: Readonly<Record<string, number>> = {
  cannot: 3,
  "'twas": 3,
  "'tis": 2,
  gonna: 2,
  gotta: 2,
  lemme: 2,
  gimme: 2,
  wanna: 2,
};

/** Units that count as letters though Unicode calls them otherwise: combining marks, the soft hyphen. */
export const LETTER_EXTRAS = `
  00AD 0237-024F 02C2-02C5 02D2-02DF 02E5-02FF 0300-036F 0370-037D 0384 0385 03CF 03F6 03FC-03FF 0483-0487 04CF 04F6-04FF
  0510-0525 055A-055F 0591-05BD 05BF 05C1 05C2 05C4 05C5 05C7 0615-061A 063B-063F 064B-065E 0670 06D6-06EF 06FA-06FF 070F
  0711 0730-074F 0750-077F 07A6-07B1 07CA-07F5 07FA 0900-0903 093C 093E-094E 0951-0955 0962-0963 0981-0983 09BC-09C4 09C7
  09C8 09CB-09CD 09D7 09E2 09E3 0A01-0A03 0A3C 0A3E-0A4F 0A81-0A83 0ABC-0ACF 0B82 0BBE-0BC2 0BC6-0BC8 0BCA-0BCD 0C01-0C03
  0C3E-0C56 0D3E-0D44 0D46-0D48 0E30-0E3A 0E47-0E4E 0EB1-0EBC 0EC8-0ECD
`;

/** Letters and digits that Unicode has and the lexer does not know: those of Unicode 7 and later. */
export const LATER_LETTERS = `
  037F 0528-052F 0560 0588 05EF 0860-086A 0870-0887 0889-088F 08A1 08AD-08C9 0978 0980 09FC 0AF9 0C34 0C5A 0C5C-0C5D 0C80
  0CDC-0CDD 0D04 0D54-0D56 0D5F 0DE6-0DEF 0E86 0E89 0E8C 0E8E-0E93 0E98 0EA0 0EA8-0EA9 0EAC 13F5 13F8-13FD 16F1-16F8 170D
  171F 1878 191D-191E 19B0-19C0 19C8-19C9 1B4C 1C80-1C8A 1C90-1CBA 1CBD-1CBF 1CF2-1CF3 1CFA 2C2F 2C5F 312E-312F 31BB-31BF
  4DB6-4DBF 9FCD-9FFF A698-A69D A78F A794-A79F A7AB-A7DC A7F1-A7F7 A8FD-A8FE A9E0-A9E4 A9E6-A9FE AA7E-AA7F AB30-AB5A
  AB5C-AB69 AB70-ABBF
`;

/** Units that were letters when the lexer was made, and are marks since. */
export const FORMER_LETTERS = `
  1885-1886
`;

/** Units that separate words. */
export const SPACES = `
  0020 0009 00A0 2000-200A 3000
`;

/** Signs of currencies. */
export const CURRENCIES = `
  00A2 00A3 00A4 00A5 0080 20A0 20AC 060B 0E3F 20A4 FFE0 FFE1 FFE5 FFE6
`;

/** Units that end sentences. */
export const SENTENCE_PUNCTUATION = `
  002E 00A1 00BF 037E 0589 061F 06D4 0700-0702 07FA 3002
`;

/** Quotation marks other than ASCII ones. */
export const QUOTES = `
  0060 2018 2019 201A 201B 201C 201D 0091 0092 0093 0094 201E 201F 2039 203A 00AB 00BB
`;

/** Units that are tokens of their own. */
export const SYMBOLS = `
  002B 0025 0026 007E 005E 007C 005C 00A6 00A7 00A8 00A9 00AC 00AE 00AF 00B0-00B3 00B4-00BA 00D7 00F7 0387 05BE 05C0 05C3
  05C6 05F3 05F4 0600-0603 0606-060A 060C 0614 061B 061E 066A 066D 0703-070D 07F6 07F7 07F8 0964 0965 0E4F 1FBD 2016 2017
  2020-2023 2030-2038 203B 203E-2042 2044 207A-207F 208A-208E 2100-214F 2190-21FF 2200-2BFF 3012 30FB FF01-FF0F FF1A-FF20
  FF3B-FF40 FF5B-FF65 FF65
`;

/** Tokens that the COCO tools drop. They list brackets too, in capitals, which never match: tokens are lower case. */
export const DROPPED_TOKENS = `
  '' ' \`\` \` . ? ! , : - -- ... ;
`;
