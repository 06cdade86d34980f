// Obtains the Python clients from the package index, each in an environment of its own.
import { join } from 'node:path'
import { cached, definitionOf } from './cache.mjs'
import { onPath, run } from './programs.mjs'

const weekMs = 7 * 86_400_000

/** What each client is installed as; codecs that it leaves to other packages included. */
const clients = {
  python: {
    packages: ['confluent-kafka'],
    about: 'import confluent_kafka as c; print(c.__version__, c.libversion()[0])',
  },
  kafkaPython: {
    packages: ['kafka-python[crc32c,lz4,snappy,zstd]'],
    about: 'import kafka; print(kafka.__version__)',
  },
  aiokafka: {
    packages: ['aiokafka[lz4,snappy,zstd]'],
    about: 'import aiokafka; print(aiokafka.__version__)',
  },
}

/** @param tool python, kafkaPython or aiokafka */
export async function obtainPython(tool) {
  const python = onPath('python3') ?? onPath('python')
  if (!python) throw new Error('python3 is not installed')
  const { stdout } = await run(python, ['--version'])
  const { packages, about } = clients[tool]
  return cached(tool, definitionOf(stdout, ...packages), weekMs, async (folder) => {
    const venv = join(folder, 'venv')
    await run(python, ['-m', 'venv', venv])
    const path = join(venv, 'bin', 'python')
    await run(path, [
      ...['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--only-binary', ':all:'],
      ...packages,
    ])
    const [version, librdkafka] = (await run(path, ['-c', about])).stdout.trim().split(' ')
    return { path, version, librdkafka }
  })
}
