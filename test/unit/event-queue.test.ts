import { describe, expect, it } from 'vitest'
import { EventQueue } from '../../src/node/event-queue.js'

async function all<Event>(events: AsyncIterable<Event>): Promise<Event[]> {
  const read: Event[] = []
  for await (const event of events) read.push(event)
  return read
}

describe('an event queue', () => {
  it('gives every event to its reader, those from before and those that come, and ends', async () => {
    const queue = new EventQueue<number>()
    queue.push(1)
    const read = all(queue)
    queue.push(2)
    await Promise.resolve()
    queue.push(3)
    queue.end()
    queue.push(4)
    expect(await read).toEqual([1, 2, 3])
  })

  it('gives every event to each of two readers, at their own pace', async () => {
    const queue = new EventQueue<number>()
    queue.push(1)
    const [slow, fast] = [queue[Symbol.asyncIterator](), queue[Symbol.asyncIterator]()]
    queue.push(2)
    queue.end()
    expect([await fast.next(), await fast.next(), await fast.next()].map(({ value }) => value)).toEqual([
      1,
      2,
      undefined,
    ])
    expect([await slow.next(), await slow.next()].map(({ value }) => value)).toEqual([1, 2])
  })

  it('keeps no event that all readers have had, nor those of readers that have gone', async () => {
    const queue = new EventQueue<number>()
    for (const event of [1, 2, 3]) queue.push(event)
    for await (const event of queue) if (event === 2) break
    queue.end()
    expect(await all(queue)).toEqual([3])
  })

  it('throws what ended it, after the last event', async () => {
    const queue = new EventQueue<number>()
    queue.push(1)
    queue.end(new Error('first'))
    queue.end(new Error('second'))
    const iterator = queue[Symbol.asyncIterator]()
    expect(await iterator.next()).toEqual({ value: 1, done: false })
    await expect(iterator.next()).rejects.toThrow('first')
  })

  it('drops the oldest where nobody reads', async () => {
    const queue = new EventQueue<number>()
    for (let event = 0; event < 10_005; event += 1) queue.push(event)
    queue.end()
    const read = await all(queue)
    expect([read.length, read[0], read.at(-1)]).toEqual([10_000, 5, 10_004])
  })
})
