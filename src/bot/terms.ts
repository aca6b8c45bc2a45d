// What Anthropic's terms say about subscription tokens in other programs, with the source's own dates: for /sync, /reauth and the README.

/** Where it stands, and when it was read: pages change, so the date belongs to every sentence of it. */
export const TERMS_SOURCE = {
  page: 'https://code.claude.com/docs/en/legal-and-compliance',
  section: 'Authentication and credential use',
  /** As other projects quoted it on these days; ISO dates. */
  readOn: ['2026-09-14', '2026-10-06'],
} as const

/** The page's own words. */
export const TERMS_QUOTES = [
  'OAuth authentication is intended exclusively for purchasers of Claude Free, Pro, Max, Team, and Enterprise subscription plans and is designed to support ordinary use of Claude Code and other native Anthropic applications.',
  'Anthropic does not permit third-party developers to offer Claude.ai login into their own applications, or to route requests through Free, Pro, or Max plan credentials on behalf of their users.',
  'developers may not collect, store, or intermediate Claude.ai credentials or session tokens — sign-in to a Claude account must complete through Anthropic’s own flow.',
  'Anthropic reserves the right to take measures to enforce these restrictions and may do so without prior notice.',
] as const

/** What follows for each of the two things that the bot can do; one sentence each. */
export const TERMS = {
  source: `Anthropic’s page “Legal and compliance” of Claude Code (${TERMS_SOURCE.page}), as read on ${TERMS_SOURCE.readOn.join(' and ')}. This is not legal advice.`,
  sync: 'Copying a subscription’s token into OpenClaw is something that Anthropic’s page does not allow: the token may be blocked, and it can cost the account. Such blocks were reported on 2026-01-09 and, with OpenClaw named, on 2026-04-04.',
  signIn:
    'The page does not keep a subscriber from signing in to the unmodified Claude Code on their own machine. /reauth only passes Anthropic’s own page and your code on to it, for its owner, and stores neither; whether that is to “intermediate” is not settled.',
  instead:
    'The safe ways are an API key, or OpenClaw’s Claude CLI backend, which runs the CLI itself; both get full service with sync off.',
} as const

/** All of it, for the README: paragraphs and quotes in Markdown. */
export const termsMarkdown = (): string =>
  [
    `${TERMS.sync} ${TERMS.instead} ${TERMS.signIn}`,
    ...TERMS_QUOTES.map((quote) => `> ${quote}`),
    `Source: ${TERMS.source}`,
  ].join('\n\n')
