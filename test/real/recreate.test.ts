// Recreate and roll back on real engines with their Composes: what works, what fails, what is cut, and what is refused.

import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { dial } from '../../src/bot/terminal.ts'
import {
  ANN,
  BEN,
  bringUp,
  createProject,
  createScene,
  createStage,
  type Engine,
  GATEWAY as SCRIPT,
  type Scene,
  SIDE,
  SUITES,
  until,
} from './engine.ts'
import { needsRoot, type Rig, report } from './rig.ts'

const GATEWAY = 'openclaw-gateway'
const isRoot = process.getuid?.() === 0

beforeEach(needsRoot)

const DONE = /recreate openclaw-gateway: done/
const environmentOf = async (engine: Engine): Promise<string[]> =>
  JSON.parse(await engine.field(GATEWAY, 'json .Config.Env'))
const stateOf = (engine: Engine, container = GATEWAY) =>
  engine.field(container, '.Id}} {{.State.StartedAt}} {{.RestartCount')
/** All of a page, with what is folded away. */
const plan = async (scene: Scene, line = '/recreate') => (await scene.ask(line)).text

/** Asks for a recreate and confirms it. @returns its card at its end. */
async function recreate(scene: Scene, end: RegExp, timeoutMs = 60_000) {
  await scene.ask('/recreate')
  await scene.press('Do it')
  return await scene.reads(end, timeoutMs)
}

/** A mishap of a program that we run: `docker` is held up at a call of a kind, counted from 1. */
function createHolds(rig: Rig, engine: Engine) {
  const dir = rig.dir()
  const real = engine.env.PATH?.split(':')
    .map((each) => join(each, 'docker'))
    .find(existsSync)
  const pidFile = join(engine.env.DOCKER_HOST?.replace('unix://', '') ?? '', '../docker.pid')
  const script = `#!/bin/sh
case "$*" in *" up -d "*) kind=up ;; *" config "*) kind=config ;; *" version "*) kind=version ;; *) kind=other ;; esac
echo >> ${dir}/$kind.count
if [ "$(cat ${dir}/$kind 2> /dev/null)" = "$(wc -l < ${dir}/$kind.count)" ]; then
  case $kind in
    version) ${real} "$@"; kill -STOP $(cat ${pidFile}); touch ${dir}/reached; exit ;;
    up) [ ! -e ${dir}/midway ] || { ${real} "$@" & sleep 0.25; } ;;
  esac
  touch ${dir}/reached; sleep 60
fi
exec ${real} "$@"
`
  mkdirSync(join(dir, 'bin'))
  writeFileSync(join(dir, 'bin/docker'), script, { mode: 0o755 })
  return {
    PATH: `${join(dir, 'bin')}:${engine.env.PATH}`,
    /** Holds the call of this kind that comes after so many more. */
    hold(kind: 'up' | 'config' | 'version', nth: number, midway = false): void {
      const count = join(dir, `${kind}.count`)
      const before = existsSync(count) ? statSync(count).size : 0
      if (midway) writeFileSync(join(dir, 'midway'), '')
      writeFileSync(join(dir, kind), `${before + nth}\n`)
    },
    release: () => {
      for (const name of ['up', 'config', 'version', 'midway', 'reached'])
        rmSync(join(dir, name), { force: true })
    },
    reached: () => until('the call that is held', () => existsSync(join(dir, 'reached'))),
  }
}

describe.each(SUITES)('with the engine and the Compose of %s', (suite) => {
  let engine: Engine
  beforeAll(async () => {
    if (isRoot) engine = await bringUp(suite)
  }, 300_000)
  afterAll(async () => await engine?.down(), 60_000)

  it('makes a service anew with its changed .env, lets the old one end its work, and touches no other', async (context) => {
    const rig = await createStage(context, engine)
    const kept = rig.dir()
    const project = await createProject(engine, rig, {
      env: 'TOKEN=first-value\nPLAIN=one\n',
      more: SIDE,
      gateway: `    volumes: ["${kept}:/kept"]\n    depends_on: [claude-proxy]`,
      script: `trap 'sleep 12; echo drained > /kept/drained; exit 0' TERM; echo "[gateway] ready"; while :; do sleep 1000 & wait $!; done`,
    })
    // Ours must not win over the file's.
    const scene = await createScene(rig, engine, { TOKEN: 'of-the-bot', PLAIN: 'of-the-bot' })
    const [old, side] = [await project.id(), await stateOf(engine, 'claude-proxy')]
    project.write('.env', "TOKEN='second$value'\nPLAIN=one\n")

    const shown = await plan(scene, '/recreate --plan')
    expect(shown).toMatch(/^🟡|^❓/)
    expect(shown).toContain('will change: TOKEN')
    expect(shown).not.toMatch(/first-value|second/)
    expect(shown).toContain(`docker stop -t 330 ${GATEWAY}`)
    expect(shown).toMatch(
      /docker compose -p openclaw .* up -d --force-recreate --no-deps --pull never openclaw-gateway/,
    )
    expect(shown.includes('will make it anew once more')).toBe(suite === 'trixie')
    expect([await project.id(), await stateOf(engine, 'claude-proxy')]).toEqual([old, side])
    expect(readdirSync(join(scene.stateDir, 'snapshots'))).toHaveLength(2)

    const at = performance.now()
    const card = await recreate(scene, DONE)
    report(
      `${Math.round((performance.now() - at) / 100) / 10} s, of which 12 s for the old one to end its work`,
    )
    expect(readFileSync(join(kept, 'drained'), 'utf8')).toBe('drained\n')
    expect(await project.id()).not.toBe(old)
    expect(await stateOf(engine, 'claude-proxy')).toBe(side)
    const hash = (text: string) => createHash('sha256').update(text).digest('hex')
    expect((await environmentOf(engine)).map(hash)).toContain(hash('TOKEN=second$value'))
    expect(card.text).toMatch(
      /✓ snapshot: .*\n✓ stop: ended in 1[2-4] s\n✓ make anew.*\n✓ boot: runs, .*\n✓ proof: container [0-9a-f]{12} with the values of \.env/,
    )
    const edits = card.history.map((each) => each.at)
    expect(card.history.length).toBeGreaterThan(8)
    for (const [index, edit] of edits.slice(2).entries())
      expect(edit - (edits[index + 1] ?? 0)).toBeGreaterThan(950)
    expect(card.history.some(({ text }) => /▶ stop: ending its work, \d+ s/.test(text))).toBe(true)
    const copies = join(scene.stateDir, 'snapshots', /snapshot: (\S+)/.exec(card.text)?.[1] ?? '')
    for (const name of ['0-docker-compose.yml', '1-.env', 'snapshot.json'])
      expect(statSync(join(copies, name)).mode & 0o777).toBe(0o600)
    expect(scene.messages().filter(({ text }) => text.includes('Container '))).toEqual([])
  })

  it('rolls an image that exits 78 back, with compose file, image and .env, but newer credentials', async (context) => {
    const rig = await createStage(context, engine)
    const image = 'opsbot/gateway:latest'
    const build = async (script: string) => {
      await engine.docker('create', '--name', 'mould', 'opsbot/busybox')
      await engine.docker('commit', '--change', `CMD ${JSON.stringify(['sh', '-c', script])}`, 'mould', image)
      await engine.docker('rm', 'mould')
      return await engine.docker('image', 'inspect', '-f', '{{.Id}}', image)
    }
    const good = await build(SCRIPT)
    const old = 'OPENCLAW_TOKEN=t-old\nTOKEN=t-old\nPLAIN=one\n'
    const project = await createProject(engine, rig, { env: old, image })
    const composeBefore = readFileSync(join(project.dir, 'docker-compose.yml'), 'utf8')
    const scene = await createScene(rig, engine)

    await build('echo "[gateway] bad state"; sleep 0.2; exit 78')
    project.set({ gateway: '      MORE: added' })
    project.write('.env', 'TOKEN=t-new\nPLAIN=two\nNEW_KEY=k\n')
    const card = await recreate(scene, /recreate openclaw-gateway: failed/)
    expect(card.text).toMatch(/✗ boot: It refused its configuration or state \(exit 78\) while starting/)
    expect(card.text).toMatch(/openclaw-gateway is a new container, (restarting|running)\./)
    expect(card.buttons.flat().map(({ text }) => text)).toEqual(['Roll back', 'Recreate again'])
    const snapshot = /snapshot: (\S+)/.exec(card.text)?.[1]

    await scene.press('Roll back', { messageId: card.id })
    const shown = await scene.reads(/rollback openclaw-gateway to .*\?/)
    expect(shown.text).toContain(`the image goes back to ${good.slice(7, 19)}`)
    expect(shown.text).toContain('credentials in .env stay as they are now')
    await scene.press('Do it')
    await scene.reads(/rollback openclaw-gateway to .*: done/, 30_000)
    expect(await engine.field(GATEWAY, '.Image')).toBe(good)
    expect(await engine.docker('image', 'inspect', '-f', '{{.Id}}', image)).toBe(good)
    expect(readFileSync(join(project.dir, 'docker-compose.yml'), 'utf8')).toBe(composeBefore)
    expect(readFileSync(join(project.dir, '.env'), 'utf8')).toBe(
      'OPENCLAW_TOKEN=t-old\nTOKEN=t-new\nPLAIN=one\nNEW_KEY=k\n',
    )
    expect(await environmentOf(engine)).toEqual(expect.arrayContaining(['TOKEN=t-new', 'PLAIN=one']))

    expect(await plan(scene, `/rollback ${snapshot} credentials`)).toContain('credentials go back too')
    await scene.press('Do it')
    await until('the old .env', () => readFileSync(join(project.dir, '.env'), 'utf8') === old)
    await until(
      'a card',
      () => scene.messages().filter(({ text }) => /rollback .*: done/.test(text)).length === 2,
    )
    expect(await environmentOf(engine)).toEqual(expect.arrayContaining(['TOKEN=t-old', 'PLAIN=one']))
    expect(await plan(scene, '/rollback nothing')).toContain('There is no snapshot "nothing".')
  })

  it('gives one up that is not healthy within its own start period, and rolls it back', async (context) => {
    const rig = await createStage(context, engine)
    const health = (file: string) =>
      `    healthcheck: {test: [CMD, test, -e, ${file}], interval: 1s, retries: 1, start_period: 3s}`
    const project = await createProject(engine, rig, { env: '', gateway: health('/tmp/well') })
    const scene = await createScene(rig, engine)
    project.set({ gateway: health('/tmp/never') })
    const at = performance.now()
    const card = await recreate(scene, /recreate openclaw-gateway: failed/)
    report(`given up after ${Math.round((performance.now() - at) / 100) / 10} s with a start period of 3 s`)
    expect(card.text).toContain('openclaw-gateway is a new container, running, unhealthy.')
    await scene.press('Roll back', { messageId: card.id })
    await scene.reads(/rollback openclaw-gateway to .*\?/)
    await scene.press('Do it')
    const back = await scene.reads(/rollback openclaw-gateway to .*: done/, 30_000)
    expect(back.text).toMatch(/✓ boot: healthy/)
    expect(await engine.field(GATEWAY, '.State.Health.Status')).toBe('healthy')
  })
})

describe('with one engine', () => {
  let engine: Engine
  beforeAll(async () => {
    if (isRoot) engine = await bringUp('trixie')
  }, 300_000)
  afterAll(async () => await engine?.down(), 60_000)

  it('finds what makes it impossible, warns of the rest, and tells no value of it', async (context) => {
    const rig = await createStage(context, engine)
    const project = await createProject(engine, rig, { env: 'TOKEN=t\n' })
    const scene = await createScene(rig, engine)
    const before = await stateOf(engine)
    const blocked = async () => {
      const answer = await scene.ask('/recreate')
      expect(answer.text).toMatch(/^🔴 recreate openclaw-gateway\?/)
      expect(answer.buttons.flat().map(({ text }) => text)).not.toContain('Do it')
      return answer.text
    }

    project.write('.env', 'TOKEN=has spaces s3cret\nPLAIN=\nTOKEN=s3cret\nAPI_PORT=0.0.0.0:80\n')
    const warned = await plan(scene)
    expect(warned).toMatch(/^🟡/)
    expect(warned).toContain('.env line 1: TOKEN has spaces and no quotes')
    expect(warned).toContain('.env line 2: PLAIN is empty')
    expect(warned).toContain('.env line 3: TOKEN stands in line 1 already; the last one counts')
    expect(warned).toContain('.env line 4: API_PORT binds to every address')
    for (const broken of [
      'A=1\nTWO WORDS=s3cret\nB=s3cret\n',
      'A=1\nB="s3cret\nC=s3cret\n',
      '=s3cret\n',
      'A=1\n$%=s3cret\n"s3cret\n',
    ]) {
      project.write('.env', broken)
      const shown = await plan(scene)
      expect(shown).toMatch(/\.env line \d: /)
      expect(shown).not.toContain('s3cret')
    }

    rmSync(join(project.dir, '.env'))
    expect(await plan(scene)).toContain('.env is missing: every variable is empty')
    mkdirSync(join(project.dir, '.env'))
    expect(await blocked()).toContain('.env cannot be read')
    rmSync(join(project.dir, '.env'), { recursive: true })
    project.write('.env', 'TOKEN=t\n')

    const good = readFileSync(join(project.dir, 'docker-compose.yml'), 'utf8')
    project.write('docker-compose.yml', `${good}\n  - broken: [\n`)
    expect(await blocked()).toMatch(/The compose files are not sound: .*yaml/)
    project.write('docker-compose.yml', good.replace('openclaw-gateway:', 'renamed:'))
    expect(await blocked()).toContain('have no service "openclaw-gateway" any more')
    project.write('docker-compose.yml', good.replace('opsbot/busybox', 'opsbot/of-tomorrow:2'))
    expect(await blocked()).toContain('the image opsbot/of-tomorrow:2 is not here: pull it first')
    project.write('docker-compose.yml', good)

    const moved = join(rig.dir(), 'moved')
    renameSync(project.dir, moved)
    expect(await blocked()).toContain('is gone. Set OPENCLAW_DIR to where the project lies now.')
    await scene.kill('SIGTERM')
    await scene.start({ OPENCLAW_DIR: moved })
    expect(await plan(scene)).toContain(`--project-directory ${moved}`)
    expect(await stateOf(engine)).toBe(before)
    await scene.press('Do it')
    await scene.reads(DONE)

    await scene.ask('/freeze')
    await scene.ask('/recreate')
    expect(await scene.press('Do it')).toContain('Changes are frozen by Ann')
    expect(scene.messages().filter(({ text }) => DONE.test(text))).toHaveLength(1)
  })

  it('can be cancelled while the old one ends its work, and says later that it is too late', async (context) => {
    const rig = await createStage(context, engine)
    const health =
      '    healthcheck: {test: [CMD, test, -e, /tmp/healed], interval: 1s, retries: 1, start_period: 60s}'
    const script = `trap 'sleep 2; exit 0' TERM; ${SCRIPT.slice(SCRIPT.indexOf(';') + 2)}`
    await createProject(engine, rig, { env: '', script, gateway: health })
    const scene = await createScene(rig, engine)
    const id = await engine.field(GATEWAY, '.Id')
    await scene.ask('/recreate')
    await scene.press('Do it')
    const running = await scene.reads(/▶ stop/)
    expect(running.text).toContain('recreate openclaw-gateway: under way')
    expect(await scene.press('Cancel', { messageId: running.id })).toContain('Stopping it')
    const cancelled = await scene.reads(/recreate openclaw-gateway: cancelled/)
    expect(cancelled.text).toMatch(/↩ stop: started again/)
    expect(cancelled.text).toContain('openclaw-gateway is the old container, running')
    expect(await engine.field(GATEWAY, '.Id')).toBe(id)

    await scene.ask('/recreate')
    await scene.press('Do it')
    const booting = await scene.reads(/▶ boot/)
    expect(booting.buttons.flat()).toEqual([])
    const numberOf = (card: typeof booting) =>
      card.history
        .flatMap(({ buttons }) => buttons.flat())
        .find(({ text }) => text === 'Cancel')
        ?.data?.split(' ')[1]
    expect((await scene.ask(`/cancel ${numberOf(running)}`)).text).toContain('That is not running any more.')
    expect((await scene.ask(`/cancel ${numberOf(booting)}`)).text).toContain(
      'It is past the point where it could be taken back; it goes on to its end.',
    )
    await engine.docker('exec', GATEWAY, 'touch', '/tmp/healed')
    await scene.reads(DONE, 15_000)
  })

  it('is done once, however many tap, and from wherever', async (context) => {
    const rig = await createStage(context, engine)
    const script = `trap 'sleep 1; exit 0' TERM; ${SCRIPT.slice(SCRIPT.indexOf(';') + 2)}`
    await createProject(engine, rig, { env: '', script })
    const scene = await createScene(rig, engine)
    const since = (Date.now() / 1_000).toFixed(3)
    const made = async () =>
      (
        await engine.docker(
          'events',
          '--since',
          since,
          '--until',
          `${Math.ceil(Date.now() / 1_000)}`,
          '--filter',
          'event=create',
          '--format',
          '{{.ID}}',
        )
      )
        .split('\n')
        .filter(Boolean)
    const terminal = await dial(scene.stateDir, { colour: false, follow: false })
    if (!terminal) throw new Error('no console')
    rig.defer(terminal.close)
    const shown = await terminal.line('/recreate')
    const number = /(?:\[|\b)(\d+)[\])]? ?Do it/.exec(shown.output)?.[1] ?? '1'
    await scene.ask('/recreate', ANN)
    await scene.ask('/recreate', BEN)
    const presses = [
      scene.press('Do it', { from: ANN }),
      scene.press('Do it', { from: ANN }),
      scene.press('Do it', { from: BEN }),
      terminal.line(number).then(({ output }) => output),
    ]
    const answers = await Promise.all(presses)
    await sleep(300)
    const others = [
      ...answers,
      ...scene.messages(ANN).map(({ text }) => text),
      ...scene.messages(BEN).map(({ text }) => text),
    ].join('\n')
    expect(others).toMatch(/is already at it: recreate openclaw-gateway|It changed since this plan was shown/)
    await until(
      'an end of it',
      () => rig.rows(scene.stateDir, 'SELECT 1 FROM runs WHERE ended_at IS NOT NULL').length > 0,
    )
    expect(await made(), others).toHaveLength(1)
    expect(answers.filter((answer) => answer.includes('has begun'))).toHaveLength(1)
  })

  const CUTS = ['snapshot', 'stop', 'make anew', 'make anew, midway', 'boot', 'proof'] as const
  it.each(CUTS)(
    'says at its next start what a kill in "%s" left, resumes nothing, and can do it again',
    async (cut) => {
      // The context is not handed to a table's rows.
      await killed(cut)
    },
  )

  let stage: Rig
  beforeEach(async (context) => {
    stage = await createStage(context, engine)
  })

  async function killed(cut: (typeof CUTS)[number]): Promise<void> {
    const rig = stage
    const step = cut.split(',')[0]
    const health =
      '    healthcheck: {test: [CMD, test, -e, /tmp/healed], interval: 1s, retries: 1, start_period: 60s}'
    const script = `trap 'sleep 2; exit 0' TERM; ${SCRIPT.slice(SCRIPT.indexOf(';') + 2)}`
    await createProject(engine, rig, {
      env: 'TOKEN=one\n',
      script,
      ...(cut === 'boot' && { gateway: health }),
    })
    const holds = createHolds(rig, engine)
    const scene = await createScene(rig, engine, { PATH: holds.PATH })
    const old = await engine.field(GATEWAY, '.Id')
    rig.defer(() => engine.signal('cont').catch(() => {}))
    await scene.ask('/recreate')
    if (cut === 'snapshot') holds.hold('version', 2)
    if (step === 'make anew') holds.hold('up', 1, cut !== step)
    if (cut === 'proof') holds.hold('config', 3)
    await scene.press('Do it')
    await (cut === 'stop' || cut === 'boot' ? scene.reads(new RegExp(`▶ ${cut}`)) : holds.reached())
    await sleep(150)
    await scene.kill()
    await engine.signal('cont')
    holds.release()
    const made = await engine.docker('ps', '-aq', '--no-trunc')

    await scene.start()
    const cards = () =>
      scene
        .messages()
        .filter(({ text }) => text.includes('recreate openclaw-gateway: was cut off when I was stopped'))
    await until('the card and a message', () => cards().length === 2)
    for (const { text } of cards()) {
      expect(text).toMatch(new RegExp(`▶ ${step}`))
      expect(text).toMatch(/openclaw-gateway (is (the old|a new) container, \w+|has no container now)/)
    }
    expect(cards().at(-1)?.silent).toBe(false)
    if (['snapshot', 'stop', 'make anew'].includes(cut))
      expect(cards()[0]?.text).toContain('is the old container')
    if (['boot', 'proof'].includes(cut)) expect(cards()[0]?.text).toContain('is a new container, running')
    if (['snapshot', 'stop', 'make anew'].includes(cut)) expect(made).toBe(old)
    await sleep(1_000)
    expect(cards()).toHaveLength(2)

    // The lock is free, and what was left is cured by the same deed.
    if (cut === 'boot') await engine.docker('exec', GATEWAY, 'touch', '/tmp/healed')
    const again = scene.messages().length
    await scene.press('Recreate again', { messageId: cards()[0]?.id ?? 0 })
    await until('the plan', () =>
      scene
        .messages()
        .slice(again)
        .find(({ text }) => text.includes('recreate openclaw-gateway?')),
    )
    await scene.press('Do it')
    if (cut === 'boot') {
      await scene.reads(/under way[\s\S]*▶ boot/)
      await until('it can be healed', () =>
        engine.docker('exec', GATEWAY, 'touch', '/tmp/healed').then(
          () => true,
          () => false,
        ),
      )
    }
    await scene.reads(DONE, 30_000)
    expect((await engine.docker('ps', '-aq')).split('\n')).toHaveLength(1)
    expect(await engine.field(GATEWAY, '.Id')).not.toBe(old)
  }
})
