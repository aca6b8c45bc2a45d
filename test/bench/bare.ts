// The bot that ours is measured against: grammY and its runner as their documentation has it, answering /whoami.

import { run } from '@grammyjs/runner'
import { Bot } from 'grammy'

const { TELEGRAM_BOT_TOKEN: token = '', TELEGRAM_API_ROOT: apiRoot = '' } = process.env
const bot = new Bot(token, { client: { apiRoot } })

bot.command('whoami', async (context) => {
  const { from, chat } = context
  const lines = [
    `<b>You are ${from?.first_name} (${from?.id})</b>`,
    `User id <code>${from?.id}</code>, role owner`,
    `Chat id <code>${chat.id}</code> (${chat.type})`,
  ]
  await context.reply(lines.join('\n'), { parse_mode: 'HTML', disable_notification: true })
})

const runner = run(bot)
process.once('SIGTERM', () => runner.stop())
