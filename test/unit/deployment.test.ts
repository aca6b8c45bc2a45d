// Which container is the gateway, which ones are expected to run, and which one a person means.

import { describe, expect, it } from 'vitest'
import {
  containerOf,
  type DeploymentOptions,
  type Expected,
  expectedOf,
  findGateway,
  keyOf,
  meant,
  projectOf,
  rememberedGateway,
} from '../../src/ops/deployment.ts'
import type { ContainerBrief } from '../../src/ops/docker/index.ts'
import { boxOf, composeOf, GATEWAY } from '../fixtures/docker/engine.ts'

const HOME = '/srv/openclaw'
const brief = (name: string, more: Partial<ContainerBrief> = {}): ContainerBrief => ({
  ...boxOf(name),
  status: 'Up 3 hours',
  ...more,
})
/** A service of a project, by its container's name. */
const service = (name: string, of = GATEWAY, project = 'openclaw', directory = HOME, createdAt = 1) =>
  brief(name, { compose: composeOf(directory, of, project), createdAt })
const options = (more: Partial<DeploymentOptions> = {}): DeploymentOptions => ({ watched: [], ...more })
const known = (name: string, of?: string, project = 'openclaw'): Expected => ({
  name,
  ...(of && { compose: composeOf(HOME, of, project) }),
})

describe('the gateway', () => {
  it.each<[string, ContainerBrief[], Partial<DeploymentOptions>, string | undefined]>([
    ['is the one that is configured', [service('a'), brief('mine')], { gatewayContainer: 'mine' }, 'mine'],
    [
      'is no other when the configured one is not there',
      [service('a')],
      { gatewayContainer: 'mine' },
      undefined,
    ],
    ['has its Compose service, whatever it is called', [brief('b'), service('x-1')], {}, 'x-1'],
    ['has its Compose service rather than its usual name', [brief(GATEWAY), service('x-1')], {}, 'x-1'],
    ['has its usual name without Compose', [brief('b'), brief(GATEWAY)], {}, GATEWAY],
    [
      'has the name that Compose gives it',
      [brief('openclaw-openclaw-gateway-1')],
      {},
      'openclaw-openclaw-gateway-1',
    ],
    ['is not there among others', [brief('b'), service('c', 'web')], {}, undefined],
    ['is not there on an empty host', [], {}, undefined],
    [
      'is the newer one while Compose makes it anew',
      [
        service('0a1b_openclaw-gateway', GATEWAY, 'openclaw', HOME, 1),
        service(GATEWAY, GATEWAY, 'openclaw', HOME, 2),
      ],
      {},
      GATEWAY,
    ],
    [
      'of two projects is the one of the configured directory',
      [service('a', GATEWAY, 'one', '/one'), service('b', GATEWAY, 'two', '/two')],
      { projectDir: '/two' },
      'b',
    ],
    [
      'of a project that was moved is found although its labels name the old directory',
      [service('a', GATEWAY, 'one', '/old')],
      { projectDir: '/new' },
      'a',
    ],
  ])('%s', (_, containers, more, expected) => {
    expect(findGateway(containers, options(more))?.name).toBe(expected)
  })

  it('of two projects is not guessed: the sentence names both and the key', () => {
    const two = [service('a', GATEWAY, 'one'), service('b', GATEWAY, 'two')]
    expect(() => findGateway(two, options())).toThrow(
      'Several containers may be the gateway: a, b. Set OPENCLAW_GATEWAY_CONTAINER.',
    )
    expect(() => findGateway(two, options({ projectDir: '/elsewhere' }))).toThrow('Several containers')
  })

  it.each<[string, Expected[], Partial<DeploymentOptions>, string | undefined]>([
    ['by its service', [known('db', 'db'), known('x', GATEWAY)], {}, 'x'],
    ['by its usual name', [known('db'), known(GATEWAY)], {}, GATEWAY],
    ['by its configured name', [known('x', GATEWAY), known('mine')], { gatewayContainer: 'mine' }, 'mine'],
    ['not at all when it was never seen', [known('db', 'db')], {}, undefined],
  ])('that is gone is remembered %s', (_, before, more, expected) => {
    expect(rememberedGateway(before, options(more))?.name).toBe(expected)
  })
})

describe('a project that was moved', () => {
  const labels = { ...composeOf('/old'), environmentFiles: ['/old/secrets/prod.env'] }

  it('lies where OPENCLAW_DIR says, all its files with it', () => {
    expect(projectOf(labels, { projectDir: '/new' })).toEqual({
      ...labels,
      workingDir: '/new',
      configFiles: ['/new/docker-compose.yml'],
      environmentFiles: ['/new/prod.env'],
    })
  })

  it('is left alone when it is there already, or nothing is configured', () => {
    expect(projectOf(labels, { projectDir: '/old' })).toBe(labels)
    expect(projectOf(labels, {})).toBe(labels)
  })
})

describe('what is expected to run', () => {
  const names = (
    containers: ContainerBrief[],
    before: Expected[] = [],
    more: Partial<DeploymentOptions> = {},
  ) => expectedOf(containers, before, options(more)).map(({ name }) => name)

  it.each<[string, ContainerBrief[], Expected[], Partial<DeploymentOptions>, string[]]>([
    ['is nothing on a host without a gateway', [brief('blog')], [], {}, []],
    [
      "is the gateway's project, and nothing of another",
      [service(GATEWAY), service('db', 'db'), service('blog', 'blog', 'other'), brief('alone')],
      [],
      {},
      [GATEWAY, 'db'],
    ],
    ['is a gateway without a project alone', [brief(GATEWAY), brief('blog')], [], {}, [GATEWAY]],
    [
      'is what was known and is gone',
      [service(GATEWAY)],
      [known(GATEWAY, GATEWAY), known('db', 'db')],
      {},
      [GATEWAY, 'db'],
    ],
    [
      'is everything that was known when all is gone',
      [],
      [known(GATEWAY, GATEWAY), known('db', 'db')],
      {},
      [GATEWAY, 'db'],
    ],
    ['is a gateway without a project that is gone', [], [known(GATEWAY)], {}, [GATEWAY]],
    [
      'is a container under its new name, once',
      [service('by-hand')],
      [known(GATEWAY, GATEWAY)],
      {},
      ['by-hand'],
    ],
    [
      'is a container under its new name, once, although the old one is configured',
      [service('by-hand')],
      [known(GATEWAY, GATEWAY)],
      { gatewayContainer: GATEWAY },
      ['by-hand'],
    ],
    [
      'is the other project, and nothing of the old, when another gateway is configured',
      [service('a', GATEWAY, 'one'), service('db', 'db', 'one'), service('b', GATEWAY, 'two')],
      [known('a', GATEWAY, 'one'), known('db', 'db', 'one')],
      { gatewayContainer: 'b' },
      ['b'],
    ],
    [
      'is what WATCH_CONTAINERS names, there or not',
      [brief('tunnel')],
      [],
      { watched: ['tunnel', 'gone'] },
      ['tunnel', 'gone'],
    ],
    [
      'is not what WATCH_CONTAINERS named yesterday',
      [service(GATEWAY)],
      [known(GATEWAY, GATEWAY), { name: 'tunnel', named: true }],
      {},
      [GATEWAY],
    ],
    [
      'is one thing when WATCH_CONTAINERS names a service of the project too',
      [service('openclaw-db-1', 'db'), service(GATEWAY)],
      [],
      { watched: ['openclaw-db-1'] },
      ['openclaw-db-1', GATEWAY],
    ],
    [
      'is one thing when WATCH_CONTAINERS names a service of the project that is gone',
      [service(GATEWAY)],
      [known('openclaw-db-1', 'db')],
      { watched: ['openclaw-db-1'] },
      [GATEWAY, 'openclaw-db-1'],
    ],
    [
      'is a configured gateway that was never seen',
      [brief('blog')],
      [],
      { gatewayContainer: 'mine' },
      ['mine'],
    ],
  ])('%s', (_, containers, before, more, expected) => {
    expect(names(containers, before, more).toSorted()).toEqual(expected.toSorted())
  })

  it('stays the same from look to look', () => {
    const containers = [service(GATEWAY), service('db', 'db'), brief('tunnel')]
    const more = { watched: ['tunnel', 'gone'] }
    const once = expectedOf(containers, [], options(more))
    const twice = expectedOf(containers, once, options(more))
    expect(twice.map(keyOf).toSorted()).toEqual(once.map(keyOf).toSorted())
    expect(expectedOf(containers, twice, options(more))).toEqual(twice)
    expect(expectedOf([], once, options(more)).map(keyOf).toSorted()).toEqual(once.map(keyOf).toSorted())
  })

  it('is found by its service, the newest first, or by its name', () => {
    const old = service('0a1b_db', 'db', 'openclaw', HOME, 1)
    const fresh = service('db', 'db', 'openclaw', HOME, 2)
    expect(containerOf([old, fresh], known('db', 'db'))).toBe(fresh)
    expect(containerOf([old], known('db', 'db'))).toBe(old)
    expect(containerOf([old], known('db', 'db', 'other'))).toBeUndefined()
    expect(containerOf([brief('tunnel')], { name: 'tunnel', named: true })?.name).toBe('tunnel')
    expect(containerOf([brief('tunnel')], known('tunne'))).toBeUndefined()
  })
})

describe('the container that a person means', () => {
  const all = [
    service(GATEWAY, GATEWAY, 'openclaw'),
    service('lab-openclaw-gateway-1', GATEWAY, 'lab'),
    service('openclaw-db-1', 'db'),
    brief('db', { id: 'abcd'.repeat(16) }),
    brief('tunnel', { id: 'cafe'.repeat(16) }),
  ]

  it.each<[string, string, string]>([
    ['its name', 'tunnel', 'tunnel'],
    ['its name, although it is a service in another project too', GATEWAY, GATEWAY],
    ['its name, although it is the service of another container', 'db', 'db'],
    ['the beginning of its name', 'lab', 'lab-openclaw-gateway-1'],
    ['the beginning of its id', 'cafe', 'tunnel'],
    ['its short id', 'cafecafecafe', 'tunnel'],
    ['its whole id', 'abcd'.repeat(16), 'db'],
  ])('is found by %s', (_, word, expected) => {
    expect(meant(all, word).name).toBe(expected)
  })

  it('is found by its service', () => {
    expect(meant([service('openclaw-cache-1', 'cache'), brief('cached')], 'cache').name).toBe(
      'openclaw-cache-1',
    )
  })

  it.each<[string, string, string]>([
    [
      'unknown',
      'nobody',
      'There is no container "nobody". There are: openclaw-gateway, lab-openclaw-gateway-1',
    ],
    ['too little of an id', 'caf', 'There is no container "caf".'],
    [
      'the beginning of two',
      'open',
      '"open" may mean openclaw-gateway or openclaw-db-1. Write more of its name.',
    ],
  ])('is not guessed from what is %s', (_, word, sentence) => {
    expect(() => meant(all, word)).toThrow(sentence)
  })

  it('is none where there are none, and what was typed is not repeated at length', () => {
    expect(() => meant([], 'x'.repeat(999))).toThrow(
      `There is no container "${'x'.repeat(64)}". There are no containers.`,
    )
  })

  it('of a service in two projects has to be named', () => {
    const two = [service('a-web-1', 'web', 'a'), service('b-web-1', 'web', 'b')]
    expect(() => meant(two, 'web')).toThrow('"web" may mean a-web-1 or b-web-1.')
    expect(meant(two, 'a-web-1').name).toBe('a-web-1')
  })
})
