// Containers of a real engine: deaths and their causes, loops, health, an engine that goes away, and the commands.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import {
  BEN,
  bringUp,
  createProject,
  createScene,
  createStage,
  type Engine,
  type Scene,
  SIDE,
  titles,
  until,
} from './engine.ts'
import { createRig, needsRoot, report, SOAK, sh } from './rig.ts'

const GATEWAY = 'openclaw-gateway'
const WELL = titles.well(GATEWAY)
const isRoot = process.getuid?.() === 0
let engine: Engine

beforeEach(needsRoot)
beforeAll(async () => {
  if (isRoot) engine = await bringUp('trixie')
}, 300_000)
afterAll(async () => await engine?.down(), 60_000)

/** A container that is no part of a project. */
const run = (name: string, script: string, ...options: string[]) =>
  engine.docker('run', '-d', '--name', name, ...options, 'opsbot/busybox', 'sh', '-c', script)
const PATIENT = "trap 'exit 3' USR1; trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"
const die = async (name: string, signal: NodeJS.Signals = 'SIGUSR1') =>
  process.kill(await engine.pid(name), signal)

/** Sends a signal that makes it end. @returns when it was sent, as messages are stamped. */
async function dieAt(name: string): Promise<number> {
  const pid = await engine.pid(name)
  process.kill(pid, 'SIGUSR1')
  return performance.now()
}

const labels = (message: { buttons: { text: string }[][] } | undefined) =>
  message?.buttons.flat().map(({ text }) => text)

const alerted = (scene: Scene, title: string, timeoutMs = 10_000) =>
  until(`an alert "${title}"`, () => scene.told(title).at(-1), timeoutMs)
const resolved = (scene: Scene, title: string, timeoutMs = 20_000) =>
  scene.reads(new RegExp(`✅ (Resolved|Came and went): ${title}`), timeoutMs)

it('tells within a second that a container died, and within three what explains it', async (context) => {
  const rig = await createStage(context, engine)
  const token = `sk-ant-oat01-${'x'.repeat(60)}`
  await createProject(engine, rig, {
    env: 'TOKEN=one\n',
    more: SIDE,
    script: `echo "[gateway] token is ${token}"; echo "it broke <here>" >&2; ${PATIENT}`,
  })
  const scene = await createScene(rig, engine)
  const at = await dieAt(GATEWAY)
  const told = await alerted(scene, WELL)
  const latency = (told.history[0]?.at ?? 0) - at
  report(`told ${Math.round(latency)} ms after the signal that ended it`)
  expect(latency).toBeLessThan(1_000)
  expect(told.history[0]?.text).toContain('It ended with exit code 3.')
  expect(told.silent).toBe(false)
  expect(labels(told)).toEqual(['Logs', 'Restart', 'Recreate', 'Ack', 'Mute 1 h', 'Mute 8 h', 'Details'])
  const explained = await scene.reads(/it broke <here>/)
  expect((explained.history.find(({ text }) => text.includes('it broke'))?.at ?? 0) - at).toBeLessThan(3_000)
  expect(explained.text).toMatch(/Most memory: (openclaw-gateway|claude-proxy) [\d.]+ /)
  expect(explained.text).not.toContain('sk-ant-oat01-xxx')
  await resolved(scene, WELL)
  expect(scene.told(titles.well('claude-proxy'))).toEqual([])
  expect(execFileSync('sh', ['-c', `cat ${scene.stateDir}/state.db*`], { encoding: 'latin1' })).not.toContain(
    token,
  )
})

it('tells every one of many deaths at once, each on time', async (context) => {
  const rig = await createStage(context, engine)
  const names = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8']
  for (const name of names) await run(name, PATIENT, '--restart', 'unless-stopped')
  const scene = await createScene(rig, engine, { WATCH_CONTAINERS: names.join(',') })
  const took: number[] = []
  for (const name of names.slice(0, 4)) {
    const at = await dieAt(name)
    took.push(((await alerted(scene, titles.well(name))).history[0]?.at ?? 0) - at)
  }
  report(`one after another: ${took.map(Math.round).join(', ')} ms`)
  const pids = await Promise.all(names.slice(4).map(engine.pid))
  const at = performance.now()
  for (const pid of pids) process.kill(pid, 'SIGUSR1')
  const together = await Promise.all(names.slice(4).map((name) => alerted(scene, titles.well(name))))
  const last = Math.max(...together.map(({ history }) => (history[0]?.at ?? 0) - at))
  report(`four together: the last one ${Math.round(last)} ms`)
  expect(Math.max(...took, last)).toBeLessThan(1_500)
  for (const name of names) await resolved(scene, titles.well(name))
})

it('says that a container ran out of its memory', async (context) => {
  const rig = await createStage(context, engine)
  await run('greedy', 'sleep 2.5; exec tail /dev/zero', '--memory', '32m', '--memory-swap', '32m')
  const scene = await createScene(rig, engine, { WATCH_CONTAINERS: 'greedy' })
  const told = await alerted(scene, titles.well('greedy'))
  expect(told.history[0]?.text).toContain('It was killed because it ran out of memory.')
})

it('tells of a crash loop as such, also of one that went on while nobody looked', async (context) => {
  const rig = await createStage(context, engine)
  await createProject(engine, rig, { env: '' })
  const scene = await createScene(rig, engine)
  await scene.kill()
  for (let death = 1; death <= 3; death += 1) {
    await die(GATEWAY)
    await until(
      'it was restarted',
      async () => Number(await engine.field(GATEWAY, '.RestartCount')) === death,
    )
    await until('it runs', async () => (await engine.field(GATEWAY, '.State.Status')) === 'running')
    // Its signal handlers are not there at once.
    await sleep(300)
  }
  await scene.start()
  const missed = await alerted(scene, titles.loop(GATEWAY))
  expect(missed.history[0]?.text).toContain('3 deaths in 10 min; the last time it died.')

  await run('looper', 'sleep 0.3; exit 78', '--restart', 'unless-stopped')
  await scene.kill('SIGTERM')
  await scene.start({ WATCH_CONTAINERS: 'looper' })
  const looping = await alerted(scene, titles.loop('looper'))
  expect(looping.text).toMatch(
    /[3-9] deaths in 10 min; the last time it refused its configuration or state \(exit 78\)/,
  )
  expect(scene.told(titles.loop('looper'))).toHaveLength(1)
})

it('follows health: unhealthy fires, healthy again resolves', async (context) => {
  const rig = await createStage(context, engine)
  const health = '    healthcheck: {test: [CMD-SHELL, "cat /tmp/well"], interval: 1s, retries: 2}'
  await createProject(engine, rig, { env: '', gateway: health })
  await until(
    'it is healthy',
    async () => (await engine.field(GATEWAY, '.State.Health.Status')) === 'healthy',
  )
  const scene = await createScene(rig, engine)
  await engine.docker('exec', GATEWAY, 'rm', '/tmp/well')
  const told = await alerted(scene, WELL, 15_000)
  expect(told.history[0]?.text).toContain('It runs, and its health check fails.')
  await scene.reads(/Health check: cat: can't open '\/tmp\/well'/)
  expect((await scene.ask('/gateway')).text).toMatch(/^🔴 openclaw-gateway: running, unhealthy/)
  await engine.docker('exec', GATEWAY, 'touch', '/tmp/well')
  await resolved(scene, WELL)
  expect(scene.told(WELL)).toHaveLength(1)
})

it('tells of a paused container, which /up sets going again', async (context) => {
  const rig = await createStage(context, engine)
  await createProject(engine, rig, { env: '' })
  const scene = await createScene(rig, engine)
  await engine.docker('pause', GATEWAY)
  expect((await alerted(scene, WELL)).text).toContain('It is paused')
  expect((await scene.ask(`/up ${GATEWAY}`)).text).toContain(`docker unpause ${GATEWAY}`)
  await scene.press('Do it')
  await resolved(scene, WELL)
})

it('takes what somebody asked for, and an exit without error that Docker follows up, for no crash', async (context) => {
  const rig = await createStage(context, engine)
  await createProject(engine, rig, { env: '', more: SIDE })
  const scene = await createScene(rig, engine)
  await engine.docker('restart', '-t', '2', GATEWAY)
  await sleep(300)
  await die(GATEWAY, 'SIGUSR2')
  await until('it restarted itself', async () => (await engine.field(GATEWAY, '.RestartCount')) === '1')
  await engine.docker('kill', 'claude-proxy')
  await engine.docker('start', 'claude-proxy')
  await sleep(2_500)
  expect(scene.messages().filter(({ text }) => text.includes('Container '))).toEqual([])

  // Stopped and not started again it is no crash either, but it should run.
  const at = performance.now()
  await engine.docker('stop', '-t', '2', GATEWAY)
  await engine.docker('kill', 'claude-proxy')
  const told = await alerted(scene, WELL)
  expect((told.history[0]?.at ?? 0) - at).toBeGreaterThan(1_500)
  expect(told.text).toMatch(/It ended without an error \(exit 0\), .* and does not run/)
  const killed = await alerted(scene, titles.well('claude-proxy'))
  expect(killed.text).toMatch(/It was ended by SIGKILL \(exit 137\), .* and does not run/)
})

// While it stops, or starts again, it shows for ten seconds containers that it has stopped: too short to be told.
for (const [signal, how, seconds] of [
  ['term', 'is stopped', '6'],
  ['kill', 'is killed', '2'],
] as const)
  it(`tells once that the engine ${how}, is silent of its containers, and tells who did not come back`, async (context) => {
    const rig = await createStage(context, engine)
    rig.defer(() => engine.signal('start'))
    const once = `  once:\n    image: opsbot/busybox\n    container_name: once\n    command: [sleep, "1000"]\n    stop_signal: KILL\n`
    await createProject(engine, rig, {
      env: '',
      // Without a clean end of the engine only "always" brings a container back (measured with 26.1).
      restart: 'always',
      more: `${SIDE.replace('unless-stopped', 'always')}${once}`,
    })
    const scene = await createScene(rig, engine, { WATCH_SECONDS: seconds })
    await engine.signal(signal)
    const at = performance.now()
    const told = await alerted(scene, titles.engine, 40_000)
    report(`told ${Math.round(((told.history[0]?.at ?? 0) - at) / 100) / 10} s after it was gone`)
    expect(told.text).toMatch(/Docker is down|no socket/)
    expect((await scene.ask('/ps')).text).toMatch(/Docker is down|Docker is not configured here/)
    await sleep(2_000)
    expect(scene.messages().filter(({ text }) => text.includes('Container '))).toEqual([])
    await engine.signal('start')
    if (signal === 'term') {
      // So that we need not wait for so long a clock.
      await scene.kill('SIGTERM')
      await scene.start({ WATCH_SECONDS: '1' })
    }
    await resolved(scene, titles.engine, 60_000)
    expect(scene.told(titles.engine)).toHaveLength(1)
    await alerted(scene, titles.well('once'), 30_000)
    await sleep(1_500)
    expect(scene.told(titles.well('claude-proxy'))).toEqual([])
    // Events are heard again.
    await until('the gateway is back', async () => (await engine.field(GATEWAY, '.State.Running')) === 'true')
    await sleep(500)
    const died = await dieAt(GATEWAY)
    const heard = (await alerted(scene, WELL)).history[0]
    // Only an event tells of the exit code; an engine that has just come up is slow to send it.
    expect(heard?.text).toContain('It ended with exit code 3.')
    expect((heard?.at ?? 0) - died).toBeLessThan(2_500)
  })

it('says that an engine hangs, answers meanwhile, and sees what happened to containers in that time', async (context) => {
  const rig = await createStage(context, engine)
  rig.defer(() => engine.signal('cont').catch(() => {}))
  await createProject(engine, rig, { env: '' })
  const scene = await createScene(rig, engine)
  const pid = await engine.pid(GATEWAY)
  await engine.signal('stop')
  const told = await alerted(scene, titles.engine, 60_000)
  expect(told.text).toContain('Docker did not answer within 8 s.')
  expect((await scene.ask('/ps')).text).toContain('Docker did not answer within 8 s.')
  expect((await scene.ask('/whoami')).text).toContain('Ann')
  const sockets = () => readdirSync(`/proc/${scene.process().pid}/fd`).length
  const open = sockets()
  process.kill(pid, 'SIGUSR1')
  await sleep(10_000)
  expect(scene.messages().filter(({ text }) => text.includes('Container '))).toEqual([])
  expect(sockets()).toBeLessThanOrEqual(open + 6)
  await engine.signal('cont')
  await resolved(scene, titles.engine)
  expect(scene.told(titles.engine)).toHaveLength(1)
  await alerted(scene, WELL)
})

it('says "not configured" without an engine, and nothing fires', async (context) => {
  const rig = createRig(context)
  const scene = await createScene(rig, undefined, { DOCKER_HOST: `unix://${rig.dir()}/none.sock` })
  for (const line of ['/ps', '/gateway', '/logs x', '/recreate', '/restart x'])
    expect((await scene.ask(line)).text).toContain('not configured')
  await sleep(3_500)
  expect(scene.messages().filter(({ text }) => /^(🔴|🟡)/.test(text))).toEqual([])
})

it("expects the containers of the gateway's project alone, and those of WATCH_CONTAINERS", async (context) => {
  const rig = await createStage(context, engine)
  await createProject(engine, rig, { env: '', more: SIDE })
  const other = rig.dir()
  writeFileSync(
    join(other, 'compose.yml'),
    SIDE.replace(/^/, 'services:\n').replaceAll('claude-proxy', 'blog'),
  )
  await engine.docker('compose', '-p', 'blog', '-f', join(other, 'compose.yml'), 'up', '-d')
  const long = `redis-${'of-a-long-name-'.repeat(5)}1`
  await run(long, PATIENT, '--restart', 'unless-stopped')
  const scene = await createScene(rig, engine, { WATCH_CONTAINERS: long })
  await engine.docker('stop', '-t', '1', 'blog')
  await engine.docker('stop', '-t', '1', 'claude-proxy')
  await die(long)
  await alerted(scene, titles.well('claude-proxy'))
  await alerted(scene, titles.well(long))
  expect(scene.told(titles.well('blog'))).toEqual([])
  expect((await scene.ask('/ps')).text).toContain('blog')

  // Two gateways on one host: it has to be told which one is meant, and says so once.
  const second = rig.dir()
  writeFileSync(
    join(second, 'compose.yml'),
    SIDE.replace(/^/, 'services:\n')
      .replace('claude-proxy:', 'openclaw-gateway:')
      .replace('container_name: claude-proxy', 'container_name: other'),
  )
  await engine.docker('compose', '-p', 'second', '-f', join(second, 'compose.yml'), 'up', '-d')
  expect((await scene.ask('/gateway')).text).toMatch(
    /Several containers may be the gateway.*Set OPENCLAW_GATEWAY_CONTAINER/s,
  )
  await alerted(scene, 'Check "containers" does not work')
  await sleep(6_000)
  expect(scene.messages().filter(({ text }) => text.includes('Check "'))).toHaveLength(1)
  await scene.kill('SIGTERM')
  await scene.start({ OPENCLAW_GATEWAY_CONTAINER: 'other', WATCH_CONTAINERS: '' })
  expect((await scene.ask('/gateway')).text).toMatch(/^✅ other: running/)
})

it('recognises a container under another name, misses one that is gone, and makes it anew', async (context) => {
  const rig = await createStage(context, engine)
  const project = await createProject(engine, rig, { env: 'TOKEN=one\n', more: SIDE })
  const scene = await createScene(rig, engine)
  await engine.docker('rename', GATEWAY, 'by-hand')
  await sleep(3_500)
  expect(scene.messages().filter(({ text }) => text.includes('Container '))).toEqual([])
  await die('by-hand')
  await alerted(scene, titles.well('by-hand'))
  await until('it runs', async () => (await engine.field('by-hand', '.State.Status')) === 'running')
  expect((await scene.ask('/gateway')).text).toMatch(/^✅ by-hand: running/)
  await resolved(scene, titles.well('by-hand'))

  await engine.docker('rm', '-f', 'by-hand')
  const missed = await until('it is missed', () =>
    scene.messages().findLast(({ text }) => text.includes('It is not there any more.')),
  )
  expect(labels(missed)?.[0]).toBe('Recreate')
  expect((await scene.ask('/logs by-hand')).text).toContain(
    'There is no container "by-hand". There are: claude-proxy.',
  )
  await scene.press('Recreate', { messageId: missed.id })
  await scene.reads(/its container is gone/)
  await scene.press('Do it')
  await scene.reads(/recreate openclaw-gateway: done/, 30_000)
  await scene.reads(/Resolved: Container (by-hand|openclaw-gateway) does not run well/)
  expect(await project.id()).toMatch(/^[0-9a-f]{64}$/)
})

it('shows containers, their logs and the gateway, and says in one sentence what it cannot show', async (context) => {
  const rig = await createStage(context, engine)
  const secret = `sk-ant-oat01-${'y'.repeat(60)}`
  await createProject(engine, rig, {
    env: '',
    more: SIDE,
    gateway: '    mem_limit: 64m\n    cpus: 0.5',
    script: `for i in $(seq 1 400); do echo "line $i of the log, which is long"; done; echo "key ${secret}"; ${PATIENT}`,
  })
  await run('claude-cache', 'sleep 1000')
  const scene = await createScene(rig, engine)
  const say = async (line: string) => (await scene.ask(line)).text

  expect(await say('/ps')).toMatch(
    /^✅ 3 of 3 containers running\n✅ claude-cache Up .*\n✅ claude-proxy Up .*\n✅ openclaw-gateway Up/,
  )
  const gateway = await say('/gateway')
  expect(gateway).toMatch(
    /^✅ openclaw-gateway: running\nUp .*s, 0 restarts by Docker\n.*no OpenClaw gateway\.\nMemory .* of 67.* MB \([\d.]+ ?%\)\nCPU .* of a core, limit 0.5/,
  )
  const short = await say(`/logs ${GATEWAY} 5`)
  expect(short).toContain('line 398 of the log')
  expect(short).not.toContain('line 396 of the log')
  expect(short).not.toContain('sk-ant-oat01-yyy')
  await scene.ask(`/logs ${GATEWAY} 400`)
  const { document } = await until('a file', () => scene.messages().findLast((each) => each.document))
  const text = Buffer.from(document?.bytes ?? []).toString('utf8')
  expect(document?.name).toBe(`${GATEWAY}.log`)
  expect(text.split('\n').length).toBe(400)
  expect(text).not.toContain('sk-ant-oat01-yyy')
  expect(await say(`/logs ${GATEWAY} 5 8h`)).toContain('line 400')
  await run('silent', 'sleep 1000')
  expect(await say('/logs silent 5')).toContain('silent has printed nothing.')
  expect(await say('/logs silent 5 30m')).toContain('silent has printed nothing since then.')
  expect(await say('/logs gateway-of-nobody')).toContain(
    'There is no container "gateway-of-nobody". There are: ',
  )
  expect(await say('/logs claude')).toMatch(
    /"claude" may mean claude-(proxy|cache) or claude-(proxy|cache)\. Write more of its name\./,
  )
  for (const lines of ['0', '1000000000', '-3', 'all', '9999'])
    expect(await say(`/logs ${GATEWAY} ${lines}`)).toMatch(/must be (a number from 1 to 5000|5000 at most)/)
  expect(await say(`/logs ${GATEWAY} 5 yesterday`)).toMatch(/since/)
  expect(await say('/logs')).toMatch(/container/)
  for (const line of ['/restart', '/up', '/down'])
    expect(await say(`${line} nobody`)).toContain('There is no container "nobody".')
  expect(await say('/recreate nobody')).toContain('"nobody" is not a service of this project. It has: ')
})

it('restarts, stops and starts on two taps; what was stopped on purpose is silent until it runs again', async (context) => {
  const rig = await createStage(context, engine)
  await createProject(engine, rig, { env: '', more: SIDE })
  const scene = await createScene(rig, engine)
  const startedAt = () => engine.field(GATEWAY, '.State.StartedAt')
  const before = await startedAt()
  expect((await scene.ask(`/restart ${GATEWAY}`, BEN)).text).toContain(`docker restart -t 330 ${GATEWAY}`)
  expect(await startedAt()).toBe(before)
  await scene.press('Do it', { from: BEN })
  await scene.reads(/openclaw-gateway was restarted/, 10_000, BEN)
  expect(await startedAt()).not.toBe(before)

  await scene.ask(`/down ${GATEWAY}`)
  await scene.press('Do it')
  await scene.reads(/openclaw-gateway was stopped/)
  await sleep(4_500)
  await scene.kill('SIGTERM')
  await scene.start()
  await sleep(3_500)
  expect(scene.messages().filter(({ text }) => text.includes('Container '))).toEqual([])
  await scene.ask(`/up ${GATEWAY}`)
  await scene.press('Do it')
  await scene.reads(/openclaw-gateway was started/)
  await sleep(500)
  await die(GATEWAY)
  await alerted(scene, WELL)
  await resolved(scene, WELL)

  // Started by somebody else than us it counts again too.
  await scene.ask('/down claude-proxy')
  await scene.press('Do it')
  await scene.reads(/claude-proxy was stopped/)
  await engine.docker('start', 'claude-proxy')
  await sleep(2_000)
  process.kill(await engine.pid('claude-proxy'), 'SIGKILL')
  await alerted(scene, titles.well('claude-proxy'))
})

it('sees inside the gateway: a full tmpfs, a Docker of its own that is down, a runtime that is missing', async (context) => {
  const rig = await createStage(context, engine)
  const config = join(engine.env.DOCKER_HOST?.replace('unix://', '') ?? '', '../daemon.json')
  rig.defer(async () => {
    await engine.clear()
    writeFileSync(config, '{}')
    await engine.signal('term')
    await engine.signal('start')
  })
  const runc = sh('sh', '-c', `PATH='${engine.env.PATH}' command -v runc`).trim()
  writeFileSync(config, JSON.stringify({ runtimes: { 'sysbox-runc': { path: runc } } }))
  await engine.signal('term')
  await engine.signal('start')
  const nested = join(rig.dir(), 'docker')
  writeFileSync(
    nested,
    '#!/bin/sh\n[ -e /tmp/well ] && echo 28.0 && exit\necho Cannot connect to the Docker daemon >&2; exit 1\n',
    { mode: 0o755 },
  )
  await createProject(engine, rig, {
    env: '',
    gateway: `    runtime: sysbox-runc\n    tmpfs: ["/var/log:size=2m"]\n    volumes: ["${nested}:/bin/docker:ro"]`,
  })
  const scene = await createScene(rig, engine)
  await sleep(1_500)
  await engine.docker(
    'exec',
    GATEWAY,
    'sh',
    '-c',
    'rm /tmp/well; head -c 1990000 /dev/zero > /var/log/dockerd.log',
  )
  // They come so close together that they may share a card.
  await until(
    'both alerts',
    () => {
      const texts = scene
        .messages()
        .flatMap(({ history }) => history.map(({ text }) => text))
        .join('\n')
      return texts.includes('/var/log inside the gateway almost full') && texts.includes('Cannot connect')
    },
    40_000,
  )
  writeFileSync(config, '{}')
  await engine.signal('term')
  await engine.signal('start')
  // It cannot be started again by this engine: the check of containers tells of that.
  await alerted(scene, WELL, 30_000)
})

it('goes on telling when the disk of the engine is full, and warns before a recreate', async (context) => {
  const rig = createRig(context)
  const dir = join(engine.env.DOCKER_HOST?.replace('unix://', '') ?? '', '../../trixie-small')
  const image = join(rig.dir(), 'image')
  sh('truncate', '-s', '96M', image)
  sh('mkfs.ext4', '-q', image)
  mkdirSync(join(dir, 'data'), { recursive: true })
  sh('mount', '-o', 'loop', image, join(dir, 'data'))
  const small = await bringUp('trixie', 'small')
  rig.defer(() => small.down())
  await createProject(small, rig, { env: '' })
  const scene = await createScene(rig, small, { DISK_MOUNTS: join(dir, 'data'), ALERT_DISK_PERCENT: '90' })
  try {
    sh('dd', 'if=/dev/zero', `of=${join(dir, 'data/filler')}`, 'bs=1M')
  } catch {}
  await alerted(scene, `Disk ${join(dir, 'data')} almost full`, 15_000)
  process.kill(await small.pid(GATEWAY), 'SIGUSR1')
  expect((await alerted(scene, WELL)).history[0]?.text).toContain('It ended with exit code 3.')
  expect((await scene.ask('/recreate --plan')).text).toMatch(/only .* of disk are free/)
  rmSync(join(dir, 'data/filler'), { force: true })
})

const EVENTS = SOAK ? 10_000 : 3_000
it(`keeps the true state and its memory through ${EVENTS} events at 10,000 a minute`, async (context) => {
  const rig = await createStage(context, engine)
  await createProject(engine, rig, { env: '', more: SIDE })
  const busy = ['b1', 'b2', 'b3', 'b4']
  for (const name of busy) await run(name, PATIENT, '--restart', 'unless-stopped')
  const scene = await createScene(rig, engine, { WATCH_CONTAINERS: 'b1,b2' })
  const socketPath = engine.env.DOCKER_HOST?.replace('unix://', '') ?? ''
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  rig.defer(() => agent.destroy())
  const post = (path: string) =>
    new Promise<void>((resolve, reject) => {
      const call = request({ socketPath, path, method: 'POST', agent }, (answer) =>
        answer.resume().on('end', resolve),
      )
      call.on('error', reject).end()
    })
  const rss = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${scene.process().pid}/status`, 'utf8'))?.[1]) / 1_024
  const flood = async (count: number) => {
    const startedAt = performance.now()
    let sent = 0
    const one = async (name: string) => {
      while (sent < count) {
        await post(`/containers/${name}/pause`)
        await post(`/containers/${name}/unpause`)
        sent += 2
        const early = startedAt + (sent * 60_000) / 10_000 - performance.now()
        if (early > 0) await sleep(early)
      }
    }
    await Promise.all(busy.map(one))
    return (performance.now() - startedAt) / 1_000
  }
  await flood(1_500)
  const before = rss()
  const flooding = flood(EVENTS)
  await sleep(3_000)
  const at = await dieAt(GATEWAY)
  const latency = ((await alerted(scene, WELL)).history[0]?.at ?? 0) - at
  const seconds = await flooding
  await sleep(1_000)
  const growth = rss() - before
  report(
    `${Math.round((EVENTS / seconds) * 60)} events a minute; in the middle of them a death was told after ${Math.round(latency)} ms; RSS ${Math.round(before)} MB, grew by ${Math.round(growth * 10) / 10} MB`,
  )
  expect(latency).toBeLessThan(1_000)
  expect(growth).toBeLessThan(20)
  await engine.docker('pause', 'claude-proxy')
  await until('the alert', () => scene.withWords(/Container claude-proxy does not run well/))
  await until('all others to be well', async () => {
    const { text } = await scene.ask('/ps')
    return /claude-proxy Up .*\(Paused\)/.test(text) && text.match(/Paused/g)?.length === 1
  })
})
