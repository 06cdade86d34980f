import { bool, defineMessage, string } from '../schema.ts'

/** A client's principal inside an Envelope (KIP-590). An int16 with the version stands before it. */
export const defaultPrincipalData = defineMessage({
  name: 'DefaultPrincipalData',
  versions: '0',
  flexible: '0+',
  fields: {
    type: string('0+'),
    name: string('0+'),
    tokenAuthenticated: bool('0+'),
  },
})
