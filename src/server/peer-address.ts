/** IPv4 mapped into IPv6 is shown, and counted, as IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}
