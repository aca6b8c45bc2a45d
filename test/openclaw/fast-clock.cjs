// Loaded into the link's script by a test: its clock runs ten times as fast, or as the test says, so that no wait is long.

const http = require('node:http')

const FASTER = Number(process.env.FASTER ?? 10)
const { setTimeout: later, setInterval: often } = globalThis
const { now } = Date
const began = now()
const { get } = http

globalThis.setTimeout = (run, ms, ...rest) => later(run, ms / FASTER, ...rest)
globalThis.setInterval = (run, ms, ...rest) => often(run, ms / FASTER, ...rest)
Date.now = () => began + (now() - began) * FASTER
http.get = (url, options, take) => get(url, { ...options, timeout: options.timeout / FASTER }, take)
