// What the Claude CLI says, made fit to be shown: one sentence without tokens, addresses or JSON.

const MOST = 300
const SECRETS = /sk-ant-[\w-]*/g
const ADDRESSES = /[\w.+-]+@[\w-]+(\.[\w-]+)+/g
/** Codes and what surrounds them in an address: longer words than these are nobody's. */
const LONG = /[\w~+/=-]{40,}/g
const CONTROL = /\p{Cc}+/gu

/** `… API Error: 401 {"error":{"message":"It has expired."}}`, as older ones say it → its message. */
function withoutJson(text: string): string {
  const at = text.indexOf('{')
  if (at < 0) return text
  const message = /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text.slice(at))?.[1]
  return `${text.slice(0, at)}${message ?? ''}`
}

/** The first line of what it said. */
export function sentenceIn(said: string): string {
  const line = said.split('\n').find((each) => /\w/.test(each)) ?? ''
  const clean = withoutJson(line)
    .replace(CONTROL, ' ')
    .replace(SECRETS, 'a token')
    .replace(ADDRESSES, 'an address')
    .replace(LONG, '…')
    .trim()
  return clean.length > MOST ? `${clean.slice(0, MOST - 1)}…` : clean
}
