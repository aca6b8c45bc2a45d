// The watchdog of systemd: told that we are ready, and fed while the event loop turns and the checks come to their end.

import { errorFields } from '../log.ts'
import type { Ops } from '../ops/index.ts'
import { watchdogFed } from '../ops/pulse.ts'

export function feedWatchdog({ config, systemd, pulse, now, log }: Ops) {
  const { watchdogMs } = config.supervisor
  const notify = (state: string) => {
    systemd.notify(state).catch((error) => log.warn('systemd was not told', errorFields(error)))
  }
  let timer: NodeJS.Timeout | undefined
  return {
    start(): void {
      notify('READY=1')
      if (!watchdogMs) return
      timer = setInterval(() => {
        if (watchdogFed(pulse.read(), now(), config.watchMs)) notify('WATCHDOG=1')
        else log.error('the checks do not come to an end: the watchdog is no longer fed')
      }, watchdogMs / 2)
    },
    stop(): void {
      clearInterval(timer)
      notify('STOPPING=1')
    },
  }
}
