import type { Leadership, Membership, MetadataStore, Watch } from './metadata-store.ts'

/** A broker's handle of a store that can be cut off, as by the death of the broker's process. */
export type MortalStore = {
  readonly store: MetadataStore
  /** Nothing more is asked or heard. What is held stays held: nobody gave it back. */
  die(): void
}

const never = new Promise<never>(() => {})

export function createMortalStore(inner: MetadataStore): MortalStore {
  let alive = true
  const guard = async <T>(call: () => Promise<T>): Promise<T> => {
    if (!alive) return never
    try {
      const answer = await call()
      return alive ? answer : never
    } catch (error) {
      if (alive) throw error
      return never
    }
  }
  /** What the store knows a leadership by, for the one that the broker has. */
  const held = new WeakMap<Leadership, Leadership>()
  const innerOf = (leadership: Leadership): Leadership => held.get(leadership) ?? leadership
  const mortalLeadership = (leadership: Leadership): Leadership => {
    const { brokerId, incarnationId, controllerEpoch } = leadership
    const own: Leadership = {
      brokerId,
      incarnationId,
      controllerEpoch,
      get held() {
        return leadership.held
      },
      onLost: (listener) =>
        leadership.onLost(() => {
          if (alive) listener()
        }),
      release: () => guard(() => leadership.release()),
    }
    held.set(own, leadership)
    return own
  }
  const store: MetadataStore = {
    head: () => guard(() => inner.head()),
    lead: (candidate) =>
      guard(async () => {
        const leadership = await inner.lead(candidate)
        return leadership && mortalLeadership(leadership)
      }),
    depose: (epoch) => guard(() => inner.depose(epoch)),
    append: (leadership, afterIndex, payload, isWanted) =>
      guard(() => inner.append(innerOf(leadership), afterIndex, payload, isWanted)),
    read: (fromIndex, maxBytes) => guard(() => inner.read(fromIndex, maxBytes)),
    watch(listener): Watch {
      return inner.watch(() => {
        if (alive) listener()
      })
    },
    bytesSinceSnapshot: () => guard(() => inner.bytesSinceSnapshot()),
    writeSnapshot: (leadership, snapshot) =>
      guard(() => inner.writeSnapshot(innerOf(leadership), snapshot)),
    join: (member) =>
      guard(async (): Promise<Membership> => {
        const membership = await inner.join(member)
        return { leave: () => guard(() => membership.leave()) }
      }),
    members: () => guard(() => inner.members()),
    close: () => guard(() => inner.close()),
    announce(facts) {
      if (alive) inner.announce(facts)
    },
    locks: inner.locks,
  }
  return {
    store,
    die() {
      alive = false
    },
  }
}
