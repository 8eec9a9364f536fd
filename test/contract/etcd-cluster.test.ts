/** Three members, two of which are killed, one after the other: nothing is lost. */
import { expect, it } from 'vitest'
import type { SignalRecord } from '../../src/core/signalling-adapter.js'
import { etcdMissing, startEtcdCluster } from '../servers/etcd.js'
import { atEnd, never, open, recordOf, Seen, topic } from './etcd-bench.js'

it.skipIf(etcdMissing !== undefined)(
  'a cluster that loses a member and then its leader loses no join',
  async () => {
    const cluster = await startEtcdCluster()
    atEnd(() => cluster.close())
    const endpoints = [...cluster.urls]
    const host = await open({ endpoints })
    const answered = new Set<string>()
    const onJoin = (join: SignalRecord): void => {
      if (answered.has(join.sender)) return
      answered.add(join.sender)
      const answer = recordOf({ box: `reply/${join.sender}`, bytes: join.bytes })
      void host.adapter.publish(answer, never).catch(() => undefined)
    }
    await host.adapter.watch(topic, 'join', onJoin, never)
    await host.adapter.publish(recordOf(), never)
    const join = async (name: string): Promise<void> => {
      const guest = await open({ endpoints })
      const [beacons, replies] = [new Seen(), new Seen()]
      await guest.adapter.watch(topic, 'host', beacons.add, never)
      await beacons.shows('epoch')
      await guest.adapter.watch(topic, `reply/${name}`, replies.add, never)
      await guest.adapter.publish(recordOf({ box: 'join', sender: name }), never)
      await replies.shows('epoch')
    }
    const joins: Promise<void>[] = []
    for (let guest = 0; guest < 20; guest += 1) {
      joins.push(join(`guest${guest}`))
      if (guest === 5) await cluster.members.find((member) => member.isRunning)?.stop()
      if (guest === 11) {
        // With two of three gone nothing could go on.
        await Promise.all(cluster.members.filter(({ isRunning }) => !isRunning).map((each) => each.start()))
        await (await cluster.leader()).stop()
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await Promise.all(joins)
    expect(answered.size).toBe(20)
  },
  60_000,
)
