import t from 'tap'
import { parseConsulAddress } from '../../../src/config/consul-settings.ts'

t.test('addresses of Consul agents', (t) => {
  const plain = { secure: false, port: 8500 }
  t.strictSame(parseConsulAddress('consul'), { ...plain, host: 'consul' })
  t.strictSame(parseConsulAddress('10.0.0.1:80'), { ...plain, host: '10.0.0.1', port: 80 })
  t.strictSame(parseConsulAddress('http://a.b-c/'), { ...plain, host: 'a.b-c' })
  t.strictSame(parseConsulAddress('https://a'), { secure: true, port: 8501, host: 'a' })
  t.strictSame(parseConsulAddress('https://[::1]:9'), { secure: true, port: 9, host: '::1' })
  for (const wrong of ['', ':8500', 'a:0', 'a:65536', 'a:b', 'ftp://a', '::1', 'a b', 'a/kv']) {
    t.equal(parseConsulAddress(wrong), undefined, wrong)
  }
  t.end()
})
