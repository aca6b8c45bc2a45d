// What the bot is measured against: a script that runs `docker ps` every so many seconds and tells whom it finds dead.

import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const everyMs = Number(process.argv[2]) * 1_000
const told = new Set<string>()

for (let due = Date.now(); ; due += everyMs) {
  await sleep(due - Date.now())
  const { stdout } = await exec('docker', ['ps', '-a', '--filter', 'status=exited', '--format', '{{.Names}}'])
  for (const name of stdout.split('\n').filter(Boolean)) {
    if (told.has(name)) continue
    told.add(name)
    console.log(`${name} ${Date.now()}`)
  }
}
