// What every file with real gateways begins with: an engine, a model that answers, and neither without root.

import { afterAll, beforeAll, beforeEach } from 'vitest'
import { bringUp, type Engine } from './engine.ts'
import { addressOf, PATIENCE_MS } from './gateway.ts'
import { createModelApi, type ModelApi } from './model-api.ts'
import { needsRoot } from './rig.ts'

export interface Stage {
  engine: Engine
  model: ModelApi
}

/** Sets up and tears down for all tests of a file. @param take is given both before the first of them. */
export function useStage(where: Parameters<typeof bringUp>, take: (stage: Stage) => void): void {
  let stage: Partial<Stage> = {}
  beforeAll(async () => {
    if (process.getuid?.() !== 0) return
    const engine = await bringUp(...where)
    stage = { engine }
    const model = await createModelApi(await addressOf(engine))
    stage = { engine, model }
    take({ engine, model })
  }, PATIENCE_MS)
  afterAll(async () => {
    await stage.model?.close()
    await stage.engine?.down()
  })
  beforeEach(needsRoot)
}
