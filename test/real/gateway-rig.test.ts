// The rig's own proof: gateways of both versions are real, and do what the suites build on.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Engine } from './engine.ts'
import { type Gateway, PATIENCE_MS, startGateway, VERSIONS, type Version } from './gateway.ts'
import type { ModelApi } from './model-api.ts'
import { report, secondsSince } from './rig.ts'
import { useStage } from './stage.ts'

const isRoot = process.getuid?.() === 0
let engine: Engine
let model: ModelApi

useStage(['trixie', 'openclaw'], (stage) => {
  engine = stage.engine
  model = stage.model
})

describe.each(Object.keys(VERSIONS) as Version[])('a gateway of the %s version', (version) => {
  let gateway: Gateway
  beforeAll(async () => {
    if (!isRoot) return
    const at = performance.now()
    gateway = await startGateway({ engine, version, model, sandbox: true })
    report(`openclaw ${VERSIONS[version]} was up and well after ${secondsSince(at)} s`)
  }, PATIENCE_MS)
  beforeEach(() => model.be('ok'))
  afterAll(() => gateway?.down())

  it('runs in a deployment as an operator has one', async () => {
    const { stdout } = await gateway.exec(['node', 'dist/index.js', '--version'], { user: 'node' })
    expect(stdout).toContain(VERSIONS[version])
    expect((await gateway.exec(['id'])).stdout).toContain('uid=1000(node)')
    expect((await gateway.exec(['which', 'openclaw'])).code).toBe(version === 'new' ? 0 : 1)
    const label = (name: string) =>
      engine.field(gateway.container, `index .Config.Labels "com.docker.compose.${name}"`)
    expect(await label('service')).toBe('openclaw-gateway')
    expect(await label('project.config_files')).toBe(gateway.composeFiles.join(','))
  })

  it('answers health over a WebSocket inside its container, as the user node', async () => {
    expect(await gateway.call('health')).toMatchObject({ ok: true })
  })

  it('lists the request of a device that wants to pair, and lets it in once it is approved', async () => {
    const watcher = await gateway.operator()
    const device = await gateway.stranger()
    expect(device.error).toMatchObject({ code: 'NOT_PAIRED', details: { code: 'PAIRING_REQUIRED' } })
    expect(await device.closed).toMatchObject({ code: 1008 })
    expect(await watcher.event('device.pair.requested')).toMatchObject({ requestId: device.requestId })
    const { pending } = JSON.parse((await gateway.cli(['devices', 'list', '--json'])).stdout)
    expect(pending).toMatchObject([{ requestId: device.requestId, deviceId: device.deviceId }])

    // The same identity is the same device.
    const { requestId } = await gateway.stranger({ identity: device.identity })
    expect(requestId).toBe(device.requestId)
    await gateway.call('device.pair.approve', { requestId })
    const paired = await gateway.stranger({ identity: device.identity })
    expect(paired.error).toBeUndefined()
    await Promise.all([paired.close(), watcher.close()])
  })

  it('makes a container for an agent to work in', async () => {
    const { result } = await gateway.runAgent('run: hostname')
    const sandboxes = await engine.docker(
      'ps',
      '--filter',
      'label=openclaw.sandbox=1',
      '--format',
      '{{.Names}}',
    )
    expect(sandboxes).toMatch(/^openclaw-sbx-\S+$/)
    const hostname = await engine.field(sandboxes, '.Config.Hostname')
    expect(JSON.stringify(result.payloads)).toContain(hostname)
  })

  it('asks over the WebSocket before an agent runs a command, and runs it once allowed', async () => {
    const operator = await gateway.operator()
    const run = gateway.runAgent('run: /bin/touch /tmp/allowed', 'asking')
    const { id, request } = await operator.event('exec.approval.requested')
    expect(request).toMatchObject({ command: '/bin/touch /tmp/allowed', host: 'gateway', ask: 'always' })
    expect((await gateway.exec(['test', '-e', '/tmp/allowed'])).code).toBe(1)
    await operator.call('exec.approval.resolve', { id, decision: 'allow-once' })
    expect(await operator.event('exec.approval.resolved')).toMatchObject({ id, decision: 'allow-once' })
    await run
    await expect.poll(async () => (await gateway.exec(['test', '-e', '/tmp/allowed'])).code).toBe(0)
    await operator.close()
  })

  it('tells of a provider that refuses the credential', async () => {
    model.be(401)
    const told = await gateway.runAgent('hello').then(JSON.stringify, String)
    expect(told).toMatch(/401|authentication/)
  })
})

it('a gateway can have an image without a user node, a base path, and no port but its own loopback', async () => {
  const gateway = await startGateway({
    ...{ engine, version: 'old', name: 'bare', nodeUser: false, basePath: '/claw', bind: 'loopback' },
    env: { MARKER: 'from .env' },
  })
  try {
    const asNode = await gateway.exec(['true'], { user: 'node' })
    // Docker says so on the standard output.
    expect(asNode).toMatchObject({ code: 126, stdout: expect.stringContaining('unable to find user node') })
    expect((await gateway.exec(['sh', '-c', 'echo $MARKER'])).stdout).toBe('from .env\n')
    expect(await gateway.call('health')).toMatchObject({ ok: true })
    expect((await gateway.stranger()).error).toMatchObject({ code: 'CLOSED' })
    await gateway.restart()
    await gateway.ready()
  } finally {
    await gateway.down()
  }
  expect(await engine.docker('ps', '-aq', '--filter', 'name=bare')).toBe('')
})
