import { describeClientQuotas } from '../../../../src/protocol/apis/48-describe-client-quotas.ts'
import { alterClientQuotas } from '../../../../src/protocol/apis/49-alter-client-quotas.ts'
import type { Story, Telling } from './telling.ts'

type Entity = [type: string, name: string | null][]
type Operation = [key: string, value: number | null]
type Filter = [type: string, matchType: number, match?: string | null]

const EXACT = 0
const DEFAULT = 1
const ANY = 2

const alter = (
  s: Telling,
  label: string,
  entries: [Entity, Operation[]][],
  { version = 1, validateOnly = false } = {},
) =>
  s.ask(
    alterClientQuotas,
    version,
    {
      entries: entries.map(([entity, operations]) => ({
        entity: entity.map(([entityType, entityName]) => ({ entityType, entityName })),
        ops: operations.map(([key, value]) => ({ key, value: value ?? 0, remove: value === null })),
      })),
      validateOnly,
    },
    { label: `AlterClientQuotas ${label}` },
  )

const describe = (
  s: Telling,
  label: string,
  filters: Filter[],
  { version = 1, strict = false } = {},
) =>
  s.ask(
    describeClientQuotas,
    version,
    {
      components: filters.map(([entityType, matchType, match = null]) => ({
        entityType,
        matchType,
        match,
      })),
      strict,
    },
    { label: `DescribeClientQuotas ${label}` },
  )

const RATE = 'producer_byte_rate'

export const quotaStories: Record<string, Story> = {
  'quotas set and described': async (s) => {
    const [anna, app] = [s.name('anna'), s.name('app')]
    for (const version of [0, 1]) {
      const set = (label: string, entity: Entity, operations: Operation[], validateOnly = false) =>
        alter(s, label, [[entity, operations]], { version, validateOnly })
      const see = async (label: string, filters: Filter[], strict = false) => {
        await s.pass(300)
        await describe(s, label, filters, { version, strict })
      }
      await set('validated', [['user', anna]], [[RATE, 1]], true)
      await see('nothing yet', [['user', EXACT, anna]])
      await set(
        'a user',
        [['user', anna]],
        [
          [RATE, 1024],
          ['request_percentage', 12.5],
        ],
      )
      await set('a client', [['client-id', app]], [['consumer_byte_rate', 2048]])
      await set(
        'both',
        [
          ['user', anna],
          ['client-id', app],
        ],
        [['controller_mutation_rate', 0.5]],
      )
      await set(
        'both, other order',
        [
          ['client-id', app],
          ['user', anna],
        ],
        [[RATE, 7]],
      )
      await set('default user', [['user', null]], [[RATE, 5]])
      await set(
        'default both',
        [
          ['user', null],
          ['client-id', null],
        ],
        [[RATE, 6]],
      )
      await set(
        'user, default client',
        [
          ['user', anna],
          ['client-id', null],
        ],
        [[RATE, 8]],
      )
      await set('address', [['ip', '127.0.0.9']], [['connection_creation_rate', 9]])
      await set('default address', [['ip', null]], [['connection_creation_rate', 10]])
      await see('all', [])
      await see('all, strict', [], true)
      for (const strict of [false, true]) {
        const how = strict ? ', strict' : ''
        await see(`user${how}`, [['user', EXACT, anna]], strict)
        await see(`user, no such${how}`, [['user', EXACT, s.name('nobody')]], strict)
        await see(`default user${how}`, [['user', DEFAULT]], strict)
        await see(`any user${how}`, [['user', ANY]], strict)
        await see(`client${how}`, [['client-id', EXACT, app]], strict)
        await see(
          `both${how}`,
          [
            ['user', EXACT, anna],
            ['client-id', EXACT, app],
          ],
          strict,
        )
        await see(
          `any both${how}`,
          [
            ['user', ANY],
            ['client-id', ANY],
          ],
          strict,
        )
        await see(
          `user, default client${how}`,
          [
            ['user', EXACT, anna],
            ['client-id', DEFAULT],
          ],
          strict,
        )
        await see(`address${how}`, [['ip', EXACT, '127.0.0.9']], strict)
        await see(`default address${how}`, [['ip', DEFAULT]], strict)
        await see(`any address${how}`, [['ip', ANY]], strict)
      }
      await set(
        'changed',
        [['user', anna]],
        [
          [RATE, 1025],
          ['request_percentage', null],
        ],
      )
      await set(
        'removed again',
        [['user', anna]],
        [
          ['request_percentage', null],
          ['no.such', null],
        ],
      )
      await see('changed', [['user', EXACT, anna]], true)
      await alter(
        s,
        'all removed',
        [
          [[['user', anna]], [[RATE, null]]],
          [[['client-id', app]], [['consumer_byte_rate', null]]],
          [
            [
              ['user', anna],
              ['client-id', app],
            ],
            [
              [RATE, null],
              ['controller_mutation_rate', null],
            ],
          ],
          [[['user', null]], [[RATE, null]]],
          [
            [
              ['user', null],
              ['client-id', null],
            ],
            [[RATE, null]],
          ],
          [
            [
              ['user', anna],
              ['client-id', null],
            ],
            [[RATE, null]],
          ],
          [[['ip', '127.0.0.9']], [['connection_creation_rate', null]]],
          [[['ip', null]], [['connection_creation_rate', null]]],
        ],
        { version },
      )
      await see('none left', [])
    }
  },

  'quotas refused': async (s) => {
    const user: Entity = [['user', s.name('eve')]]
    const refused = (label: string, entity: Entity, operations: Operation[]) =>
      alter(s, label, [[entity, operations]])
    await alter(s, 'none', [])
    await refused('no operation', user, [])
    await refused('no entity', [], [[RATE, 1]])
    await refused('unknown type', [['group', 'x']], [[RATE, 1]])
    await refused('empty type', [['', 'x']], [[RATE, 1]])
    await refused('empty user', [['user', '']], [[RATE, 1]])
    await refused('empty client', [['client-id', '']], [[RATE, 1]])
    await refused('empty address', [['ip', '']], [['connection_creation_rate', 1]])
    await refused(
      'type twice',
      [
        ['user', 'a'],
        ['user', 'b'],
      ],
      [[RATE, 1]],
    )
    await refused(
      'address and user',
      [
        ['ip', '127.0.0.1'],
        ['user', 'a'],
      ],
      [[RATE, 1]],
    )
    await refused(
      'address and client',
      [
        ['ip', '127.0.0.1'],
        ['client-id', 'a'],
      ],
      [[RATE, 1]],
    )
    await refused('no address', [['ip', '1.2.3.4.5']], [['connection_creation_rate', 1]])
    await refused('address too large', [['ip', '300.1.1.1']], [['connection_creation_rate', 1]])
    await refused('address v6', [['ip', '::1']], [['connection_creation_rate', 1]])
    await refused('address removed', [['ip', '::1']], [['connection_creation_rate', null]])
    await refused('unknown key', user, [['no.such', 1]])
    await refused('empty key', user, [['', 1]])
    await refused('key of addresses', user, [['connection_creation_rate', 1]])
    await refused('key of users', [['ip', '127.0.0.1']], [[RATE, 1]])
    await refused('key twice', user, [
      [RATE, 1],
      [RATE, 2],
    ])
    for (const value of [
      0,
      -1,
      0.5,
      1.5,
      1.0000001,
      9.3e18,
      1e300,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ])
      await refused(`${value} bytes`, user, [[RATE, value]])
    await refused('bytes back', user, [[RATE, null]])
    for (const value of [0, -1, 1e-9, 1e300])
      await refused(`${value} percent`, user, [['request_percentage', value]])
    await refused('percent back', user, [['request_percentage', null]])
    for (const value of [0.5, 2147483647, 2147483648])
      await refused(
        `${value} connections`,
        [['ip', '127.0.0.8']],
        [['connection_creation_rate', value]],
      )
    await refused('connections back', [['ip', '127.0.0.8']], [['connection_creation_rate', null]])
    await alter(s, 'entity twice', [
      [user, [[RATE, 1]]],
      [user, [[RATE, 2]]],
    ])
    await alter(s, 'one good, one bad', [
      [user, [[RATE, 1]]],
      [[['user', '']], [[RATE, 2]]],
    ])
    await refused('all or nothing', user, [
      [RATE, 3],
      ['request_percentage', -1],
    ])
    await s.pass(300)
    await describe(
      s,
      'what stayed',
      user.map(([type, name]): Filter => [type, EXACT, name]),
    )
    await refused('back', user, [[RATE, null]])
  },

  'quota filters refused': async (s) => {
    for (const version of [0, 1]) {
      const refused = (label: string, filters: Filter[]) => describe(s, label, filters, { version })
      await refused('empty type', [['', EXACT, 'x']])
      await refused('unknown type', [['group', EXACT, 'x']])
      await refused('type twice', [
        ['user', EXACT, 'x'],
        ['user', ANY],
      ])
      await refused('exact, nothing', [['user', EXACT]])
      await refused('default, something', [['user', DEFAULT, 'x']])
      await refused('any, something', [['user', ANY, 'x']])
      await refused('match 3', [['user', 3, 'x']])
      await refused('match -1', [['user', -1]])
      await refused('address and user', [
        ['ip', ANY],
        ['user', ANY],
      ])
      await refused('client and address', [
        ['client-id', DEFAULT],
        ['ip', EXACT, 'x'],
      ])
    }
  },
}
