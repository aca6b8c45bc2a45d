// A real browser: Debian's Chromium without a screen (browser.sh), driven by its own protocol over a WebSocket.
//
//   browser = await startBrowser()                   // fetched when it is not there: half a minute once
//   page = await browser.open('http://…#token=…')    // a new tab
//   await page.text()                                // what a reader sees of it
//   await browser.close()

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const FETCH_MS = 300_000
const START_MS = 60_000
const CALL_MS = 30_000

export type Browser = Awaited<ReturnType<typeof startBrowser>>
export type Page = Awaited<ReturnType<Browser['open']>>

interface Frame {
  id?: number
  // biome-ignore lint/suspicious/noExplicitAny: what a method answers is for its caller to know
  result?: any
  error?: { message: string }
}

/** All that a reader sees: Control UIs hide their parts in shadow roots, which `innerText` leaves out. */
const TEXT = `(() => {
  const words = []
  const walk = (node) => {
    if (node.nodeType === 3 && node.data.trim()) words.push(node.data.trim())
    if (['SCRIPT', 'STYLE', 'TEMPLATE'].includes(node.nodeName)) return
    for (const child of [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes]) walk(child)
  }
  // A page that is only just loading has no body.
  walk(document.body ?? document.createElement('body'))
  return words.join('\\n')
})()`

/** Starts it with a profile of its own, which is gone when it is closed. */
export async function startBrowser() {
  const script = join(import.meta.dirname, 'browser.sh')
  const root = (await promisify(execFile)(script, { timeout: FETCH_MS })).stdout.trim()
  const libraries = readdirSync(join(root, 'usr/lib')).map((each) => join(root, 'usr/lib', each))
  const profile = mkdtempSync(join(tmpdir(), 'opsbot-browser-'))
  // It dies with us even when nobody can close it.
  const argv = ['--pdeathsig', 'KILL', join(root, 'usr/lib/chromium/chromium-headless-shell')]
  const flags = ['--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', `--user-data-dir=${profile}`]
  const child = spawn('setpriv', [...argv, ...flags], {
    env: {
      ...{ PATH: process.env.PATH, HOME: profile },
      LD_LIBRARY_PATH: libraries.flatMap((each) => [each, join(each, 'pulseaudio')]).join(':'),
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  async function close(): Promise<void> {
    child.kill('SIGKILL')
    await exited
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
  }

  const said: string[] = []
  const lines = createInterface({ input: child.stderr })
  const url = await new Promise<string>((resolve, reject) => {
    const giveUp = () => reject(new Error(`Chromium did not start:\n${said.slice(-5).join('\n')}`))
    setTimeout(giveUp, START_MS).unref()
    child.on('exit', giveUp)
    lines.on('line', (line) => {
      said.push(line)
      const [, found] = /DevTools listening on (ws:\S+)/.exec(line) ?? []
      if (found) resolve(found)
    })
  }).catch(async (error) => {
    await close()
    throw error
  })

  const socket = new WebSocket(url)
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = () => reject(new Error('Chromium takes no commands.'))
  })
  const waiting = new Map<number, (frame: Frame) => void>()
  let last = 0
  socket.onmessage = ({ data }) => {
    const frame: Frame = JSON.parse(`${data}`)
    if (frame.id !== undefined) waiting.get(frame.id)?.(frame)
  }
  async function call(method: string, params: object, sessionId?: string): Promise<Frame['result']> {
    last += 1
    const id = last
    const frame = await new Promise<Frame>((resolve, reject) => {
      setTimeout(() => reject(new Error(`Chromium did not answer ${method}.`)), CALL_MS).unref()
      waiting.set(id, resolve)
      socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }))
    })
    waiting.delete(id)
    if (frame.error) throw new Error(`${method}: ${frame.error.message}`)
    return frame.result
  }

  return {
    close,
    /** Opens a page in a tab of its own; what it has stored is shared with the others. */
    async open(address: string) {
      const { targetId } = await call('Target.createTarget', { url: 'about:blank' })
      const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true })
      const run = async (expression: string) => {
        const given = { expression, returnByValue: true, awaitPromise: true }
        const { result, exceptionDetails } = await call('Runtime.evaluate', given, sessionId)
        if (exceptionDetails) throw new Error(`${exceptionDetails.exception?.description}`)
        return result.value
      }
      await call('Page.navigate', { url: address }, sessionId)
      return {
        /** Evaluates an expression in the page. */
        run,
        text: async (): Promise<string> => await run(TEXT),
        reload: () => call('Page.reload', {}, sessionId),
        close: () => call('Target.closeTarget', { targetId }),
      }
    },
  }
}
